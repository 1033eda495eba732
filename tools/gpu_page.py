"""Write docs/gpu.md from the files of tools/gpu_check.py.

    python tools/gpu_page.py gpu/

A part without a file is called "not run yet".
"""

# ruff: noqa: E501  (lines of the page, which are wider)
import argparse
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "gpu.md"
GOALS = {
    "tests": "`tests/cuda`: the numbers of a CPU, and no wait of the host in a step.",
    "step": "A step of `vidmoco_gpu` (ResNet-50, 224 px, K 65,536). Goal: prepared frames at 0.95 "
    "of the bare forward and backward passes, data wait under 3 %. MoCo v2's Table 3 has 5.0 GB a "
    "GPU at batch 256 on eight of them.",
    "vit": "A step of MoCo v3's ViT-S.",
    "compiled": "The step of `vidmoco_gpu` with `--engine.compile`, and with `--engine.cuda-graphs` too. The "
    "recipe takes what pays.",
    "extract": "Extraction: the smaller of the model alone and the decoding of all cores.",
    "cifar": "The authors' CIFAR-10 demo: k-NN 82.6 % after 200 epochs.",
    "clips": "`vidmoco_gpu` on prepared clips.",
}


EXPECTED = """## What is expected, until it is measured

By reading the step, none of it measured:

- One kernel updates all weights (torch's fused optimisers), one the key encoder (`torch._foreach_lerp_`). Against a
  Python loop over 161 tensors of a ResNet-50: some 2 ms of a step of 200.
- The keys need no activations: about a third of the memory of a step of two views with gradients.
- The queue is written in place at the step's end. A copy of 65,536 keys of 128 numbers would be 33 MB a step, 20 us.
- Views are resized by matrix products of the whole batch; they are not compiled. Expected: 3 to 5 % of the step.
- Frames are copied from pinned memory by a stream of its own while the step before computes: no wait.
- 16 cores decode about 11,000 pairs/s of JPEG files of short side 240 (1,430 on 2), and a ResNet-50 in bf16 trains
  1,500 to 2,500 pairs/s on a large card. So nvJPEG is not needed.
- Nothing in a step waits for the device (`tests/cuda` holds it); the log reads every tenth step.
- Gradients lie in the buckets that are sent (`gradient_as_bucket_view`), so several GPUs copy none.
"""


def page(folder: Path | None) -> str:
    """Return the page in Markdown."""
    parts = [
        "# On a GPU",
        "Made by `python tools/gpu_check.py -o gpu/ --frames F --videos V --images cifar10/` and "
        "`python tools/gpu_page.py gpu/`.",
    ]
    for name, goal in GOALS.items():
        file = folder / f"{name}.json" if folder else None
        parts.append(f"## {name}\n\n{goal}")
        has_run = file is not None and file.exists()
        parts.append(_part(json.loads(file.read_text())) if has_run else "Not run yet.")
    return "\n\n".join([*parts, EXPECTED])


def _part(result: dict[str, Any]) -> str:
    text = (
        f"{result['device']}, torch {result['torch']}, CUDA {result['cuda']}, {result['cores']} "
        f"cores, {result['seconds']} s."
    )
    if "error" in result:
        return f"{text} It failed:\n\n```\n{result['error'].strip()}\n```"
    rows = [_flat(row) for row in result["rows"]]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([row.get(c, "") for c in columns] for row in rows)]
    return text + "\n\n" + "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, dict):
            found |= _flat(value, f"{name}, ")
        else:
            found[name] = ", ".join(value) or "none" if isinstance(value, list) else value
    return found


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    PAGE.write_text(page(parser.parse_args().folder), encoding="utf-8")


if __name__ == "__main__":
    main()
