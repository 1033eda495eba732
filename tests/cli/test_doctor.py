import importlib.metadata
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from vidmoco import __version__
from vidmoco.cli import doctor
from vidmoco.cli.doctor import NEEDED, build_warnings, decord_warnings, why_not_loaded
from vidmoco.cli.main import main
from vidmoco.video.builds import Build
from vidmoco.video.container import CODECS
from vidmoco.video.routes import DECORD_CODECS, DECORD_CONTAINERS, DECORD_PIXEL_FORMATS

DECORD2 = Build(reader="decord", package="decord2 3.4.0", in_wheel=True, version="8.1.1")
PYAV = Build(reader="PyAV", package="av 18.1.0", in_wheel=True, version="8.1.2")


@pytest.fixture
def report(capsys, monkeypatch):
    """Run ``vidmoco doctor``: its exit code and what it printed, with blanks for line breaks."""
    monkeypatch.setenv("COLUMNS", "100")

    def run():
        code = main(["doctor"])
        printed = capsys.readouterr()
        assert printed.err == ""
        return code, " ".join(printed.out.split())

    return run


@pytest.fixture
def healthy(monkeypatch):
    """A machine with nothing to warn of: good builds, decord2 alone, no torchcodec."""
    good = Build(reader="decord", package="decord2 3.5.0", in_wheel=True, version="8.1.2")
    monkeypatch.setattr(doctor, "pyav_build", lambda: PYAV)
    monkeypatch.setattr(doctor, "decord_builds", lambda: [good])
    monkeypatch.setattr(doctor, "decord_distributions", lambda: ["decord2"])
    monkeypatch.setattr(doctor, "_torchcodec", lambda: ("not installed", None))


def test_the_report_of_this_machine(report, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDMOCO_CACHE", str(tmp_path))
    code, text = report()
    assert code == 0
    assert f"vidmoco {__version__} " in text
    for name in ("torch", "torchvision", "timm", "numpy", "pyarrow", "tyro", "einops", "av"):
        assert f" {name} {importlib.metadata.version(name)} " in text
    version = importlib.metadata.version("decord2")
    assert f" decord decord2 {version} " in text
    assert f"in the wheel of decord2 {version}" in text
    assert " auto --device auto takes " in text
    for names in (DECORD_CODECS, DECORD_CONTAINERS, DECORD_PIXEL_FORMATS, CODECS):
        assert ", ".join(sorted(names)) in text
    assert f" catalogs {tmp_path}/catalogs " in text
    assert "does not load" not in text


def test_nothing_to_warn_of(report, healthy):
    code, text = report()
    assert code == 0
    assert "Warnings none" in text
    assert text.count("none in this list") == 2


def test_an_old_ffmpeg_is_told_with_what_to_do(report, healthy, monkeypatch):
    monkeypatch.setattr(doctor, "decord_builds", lambda: [DECORD2])
    code, text = report()
    assert code == 0
    assert "CVE-2026-8461: a MagicYUV video writes past the decoder's memory" in text
    assert "Warnings 1. FFmpeg 8.1.1 of decord (decord2 3.4.0) has known holes: CVE-2026" in text


def test_what_is_said_of_magicyuv_is_so():
    (warning,) = build_warnings([DECORD2])
    assert "vidmoco gives decord no file with a MagicYUV stream" in warning
    assert "magicyuv" not in CODECS


def warning_of(reader, version, *, package="x 1", in_wheel=True):
    return build_warnings(
        [Build(reader=reader, package=package, in_wheel=in_wheel, version=version)]
    )


def test_each_reader_has_its_own_remedy():
    assert warning_of("PyAV", "8.1.2") == []
    assert "Do: pip install --upgrade av" in warning_of("PyAV", "8.1.1")[0]
    classic = warning_of("decord", "4.1.6", package="decord 0.6.0")[0]
    assert "CVE-2026-8461 and CVEs of FFmpeg 4.1.\nDo: replace it by decord2" in classic
    eva = warning_of("decord", "4.1.6", package="eva-decord 0.6.1")[0]
    assert "Do: replace it by decord2" in eva
    built = warning_of("PyAV", "7.0.1", in_wheel=False)[0]
    assert "update the FFmpeg of the system" in built
    assert "does not use it" not in built
    codec = warning_of("torchcodec", "5.1.9-0+deb12u1", in_wheel=False)[0]
    assert "security tracker" in codec
    assert "vidmoco does not use it" in codec


def test_what_cannot_be_judged_is_not_called_good(report, healthy, monkeypatch):
    git = Build(reader="PyAV", package="av 18.1.0", version="N-12345-gabcdef")
    monkeypatch.setattr(doctor, "pyav_build", lambda: git)
    monkeypatch.setattr(
        doctor, "decord_builds", lambda: [Build(reader="decord", package="decord2 9")]
    )
    code, text = report()
    assert code == 0
    assert "1. FFmpeg N-12345-gabcdef of PyAV (av 18.1.0) cannot be judged: it is not a rel" in text
    assert "2. FFmpeg unknown of decord (decord2 9) cannot be judged: it is not found" in text
    assert "none in this list" not in text


@pytest.mark.parametrize(
    ("distributions", "parts"),
    [
        (["decord"], ["comes from decord, which", "pip uninstall decord && pip install --force-r"]),
        (["eva-decord"], ["comes from eva-decord,", "pip uninstall eva-decord && pip install"]),
        (["decord", "decord2"], ["together with decord:", "--force-reinstall decord2"]),
        (
            ["decord", "decord2", "eva-decord"],
            ["together with decord and eva-decord:", "pip uninstall decord eva-decord &&"],
        ),
    ],
)
def test_other_packages_of_the_module_decord(distributions, parts):
    (warning,) = decord_warnings(distributions)
    for part in parts:
        assert part in warning


def test_decord2_alone_is_right():
    assert decord_warnings(["decord2"]) == []
    assert decord_warnings([]) == []


def test_classic_decord_is_told(report, healthy, monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda name: {"decord": "0.6.0"}.get(name, "3.4.0"))
    monkeypatch.setattr(doctor, "decord_distributions", lambda: ["decord", "decord2"])
    code, text = report()
    assert code == 0
    assert " decord decord 0.6.0 and decord2 3.4.0 " in text
    assert "Warnings 1. decord2 is installed together with decord" in text


@pytest.mark.parametrize("name", ["av", "decord", "timm", "pyarrow"])
def test_a_needed_library_that_does_not_load(report, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    code, text = report()
    assert code == 1
    assert f"repair them from the top) {name} import of {name} halted" in text
    package = "decord2" if name == "decord" else name
    assert f"Do: pip install --force-reinstall {package}" in text
    assert text.count("does not load") == 1  # in the list of versions
    assert (f"left out: {name} must load first" in text) == (name != "timm")
    assert "auto takes" in text
    assert (" PyAV FFmpeg " in text) == (name != "av")


def test_torch_that_does_not_load(tmp_path):
    # In a process of its own, where nothing has loaded it.
    (tmp_path / "torch.py").write_text("raise ImportError('libcudart.so.13: cannot open')")
    run = subprocess.run(
        [sys.executable, "-m", "vidmoco", "doctor"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr == ""
    text = " ".join(run.stdout.split())
    assert "Devices left out: torch must load first" in text
    assert "repair them from the top) torch libcudart.so.13: cannot open Do: pip install" in text
    assert "torchvision libcudart.so.13" in text


def test_a_library_that_is_not_installed(report, healthy, monkeypatch):
    monkeypatch.setitem(sys.modules, "einops", None)
    version = doctor._version
    monkeypatch.setattr(
        doctor, "_version", lambda name: None if name == "einops" else version(name)
    )
    code, text = report()
    assert code == 1
    assert " einops not installed " in text
    assert "Do: pip install einops" in text


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("x = 1", ""),
        ("import no_such_library", "No module named 'no_such_library'"),
        ("raise OSError('libx.so.1: cannot open\\nand more')", "libx.so.1: cannot open"),
        ("raise RuntimeError", "RuntimeError"),
        ("raise AttributeError('\\n  at last \\n')", "at last"),
    ],
)
def test_why_a_module_does_not_load(tmp_path, monkeypatch, body, reason):
    (tmp_path / "probed_module.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "probed_module", raising=False)
    assert why_not_loaded("probed_module") == reason
    sys.modules.pop("probed_module", None)


def test_decord_is_loaded_after_those_it_would_stand_in_for():
    assert NEEDED[0] == "torch"
    assert NEEDED.index("av") < NEEDED.index("decord")


def with_torchcodec(monkeypatch, *, problem, build):
    monkeypatch.setattr(doctor, "_version", lambda name: "0.17.0")
    probe = why_not_loaded
    monkeypatch.setattr(
        doctor, "why_not_loaded", lambda name: problem if name == "torchcodec" else probe(name)
    )
    monkeypatch.setattr(doctor, "torchcodec_build", lambda: build)
    monkeypatch.setattr(doctor, "pyav_build", lambda: PYAV)
    monkeypatch.setattr(doctor, "decord_builds", list)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("Could not load libtorchcodec", "torchcodec 0.17.0 does not load: Could not load libt"),
        ("", "torchcodec 0.17.0 finds no usable FFmpeg"),
    ],
)
def test_a_torchcodec_that_does_not_load_is_a_note(report, monkeypatch, problem, said):
    with_torchcodec(monkeypatch, problem=problem, build=None)
    code, text = report()
    assert code == 0
    assert f"Warnings none Note {said}" in text


def test_the_ffmpeg_of_torchcodec(report, monkeypatch):
    build = Build(reader="torchcodec", package="torchcodec 0.17.0", version="4.1.6")
    with_torchcodec(monkeypatch, problem="", build=build)
    code, text = report()
    assert code == 0
    assert "torchcodec FFmpeg 4.1.6, used by torchcodec 0.17.0, not in its wheel" in text
    assert "1. FFmpeg 4.1.6 of torchcodec" in text
    assert "Note" not in text


def test_cuda_devices_are_named(report, healthy, monkeypatch):
    properties = SimpleNamespace(name="NVIDIA H200", total_memory=139 * 2**30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    monkeypatch.setenv("LOCAL_RANK", "1")
    _, text = report()
    assert "cuda:0 NVIDIA H200, 139 GiB cuda:1 NVIDIA H200, 139 GiB MPS" in text
    assert "--device auto takes cuda:1 " in text
    monkeypatch.setenv("LOCAL_RANK", "2")  # the reason, not an exception
    code, text = report()
    assert code == 0
    assert "This is process 3 of its machine" in text


@pytest.mark.parametrize(
    ("capabilities", "said"),
    [
        (
            {"avx2": True, "avx512_bf16": True, "amx_tile": True, "amx_fp16": False},
            "amx_tile, avx5",
        ),
        ({"avx2": True, "cpu_name": "bf16"}, "without bf16 or AMX instructions"),
    ],
)
def test_the_instructions_of_the_cpu(capabilities, said):
    assert said in doctor._instructions(SimpleNamespace(get_capabilities=lambda: capabilities))


def test_an_older_torch_does_not_tell_the_instructions():
    assert "cannot tell" in doctor._instructions(SimpleNamespace())


def test_lines_fit_the_terminal(capsys, healthy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDMOCO_CACHE", "cache")  # a long path is not cut
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines == [line.rstrip() for line in lines]
    assert lines[0] == "Versions"
    assert lines[1].startswith("  vidmoco ")
