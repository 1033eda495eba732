"""Build the distribution, check it, and try the wheel where nothing else is: ``make dist``.

    python tools/check_wheel.py --pythons 3.11 3.12 3.13 [--demo]

Each Python gets an empty environment outside of the checkout. One that uv neither finds nor fetches
is named and skipped; the first must be there.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
VIDEOS = """
import sys
from pathlib import Path

import av
import numpy as np

for name in sys.argv[1:]:
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for index in range(20):
            pixels = np.full((64, 64, 3), 30, np.uint8)
            pixels[16:48, 2 * index : 2 * index + 20] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
"""
SMALL = (
    "--recipe tiny_cpu --steps 3 --batch-size 8 --augment.size 32 --data.short-side 32 --workers 1 "
    "--method.queue-size 40 --method.bn-splits 2 --backbone.name test_resnet --device cpu"
)


def main() -> int:
    """Return 0 if the wheel works in every Python that there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pythons", nargs="+", default=["3.11", "3.12", "3.13"])
    parser.add_argument("--demo", action="store_true", help="also run the demo: minutes")
    options = parser.parse_args()
    wheel = build()
    lines = []
    for number, python in enumerate(options.pythons):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            program = environment(Path(folder), python)
            if program is None:
                lines.append(f"Python {python}: skipped, uv neither finds nor fetches it")
                if number == 0:
                    print(lines[0], file=sys.stderr)
                    return 1
                continue
            try_wheel(wheel, program, Path(folder), demo=options.demo)
        lines.append(f"Python {python}: works, {time.monotonic() - began:.0f} s")
    print("", *[path.name for path in sorted(DIST.iterdir())], *lines, sep="\n")
    return 0


def build() -> Path:
    """Write wheel and source distribution to ``dist/``, check them, and return the wheel."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--installer", "uv", "--outdir", DIST, ROOT)
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(DIST.iterdir()))
    (wheel,) = DIST.glob("*.whl")
    return wheel


def environment(folder: Path, python: str) -> Path | None:
    """Return the interpreter of a new, empty environment, or None where there is no such Python."""
    words = [uv(), "venv", "--quiet", "--python", python, str(folder / "venv")]
    places = [os.environ["PATH"], *map(str, (Path.home() / ".pyenv" / "versions").glob("*/bin"))]
    env = os.environ | {"PATH": os.pathsep.join(places)}
    made = subprocess.run(words, check=False, capture_output=True, env=env)
    return folder / "venv" / "bin" / "python" if made.returncode == 0 else None


def try_wheel(wheel: Path, python: Path, folder: Path, *, demo: bool) -> None:
    """Install the wheel alone, and run what needs its parts: recipes, decoders, a training."""
    run(uv(), "pip", "install", "--quiet", "--python", python, f"{wheel}[eval]" if demo else wheel)
    vidmoco = python.parent / "vidmoco"
    run(vidmoco, "--version", cwd=folder)
    run(vidmoco, "doctor", cwd=folder)
    (folder / "videos").mkdir()
    run(python, "-c", VIDEOS, "videos/a.mp4", "videos/b.mp4", cwd=folder)
    run(vidmoco, "pretrain", "videos", "--run", "run1", *SMALL.split(), cwd=folder)
    run(vidmoco, "extract", "videos/a.mp4", "-o", "a.npy", "--backbone", "run1", cwd=folder)
    if demo:
        run(vidmoco, "demo", "-o", "demo", cwd=folder)


def run(*words: str | Path, cwd: Path = ROOT) -> None:
    """Run a command without the checkout on its path; stop if it fails."""
    print("$", *words, flush=True)
    own = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    env = {name: value for name, value in os.environ.items() if name not in own}
    env |= {"VIDMOCO_CACHE": str(cwd / "cache")} if cwd != ROOT else {}
    subprocess.run(list(map(str, words)), check=True, cwd=cwd, env=env)


def uv() -> str:
    """Return the program uv, that of this environment first."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd[:3])} … failed with {error.returncode}")
