"""Fixtures that several tests share: painted videos, and the real ones where they are installed."""

import errno
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Threads that wait for each other are slow where other tests run too. torch reads it at its import.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import fsspec
import numpy as np
import pytest
import timm  # noqa: F401
import torch
import torch._dynamo
from hypothesis import settings
from PIL import Image

# Tests import each other's material by plain names: `from painted_videos import write_video`.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parent.parent / "tools"))

import type_checks  # first, as it decides how the package is checked that the others import
from decord_process import build_reader
from painted_videos import write_video

from vidmoco.backbones.build import build_backbone, save_backbone
from vidmoco.workers.pool import WorkerPool

# Files and folders whose tests take more than some seconds: they start processes, train, or read
# many videos. ``make quick`` leaves them out.
SLOW = (
    "ablation/test_overlap.py",
    "ablation/test_run.py",
    "api/",
    "augment/test_views.py",
    "backbones/test_architectures.py",
    "backbones/test_build.py",
    "backbones/test_export_file.py",
    "backbones/test_file_fits.py",
    "backbones/test_import_checkpoint.py",
    "backbones/test_layouts.py",
    "backbones/test_moco_v3_vit.py",
    "backbones/test_registry.py",
    "backbones/test_trial.py",
    "cli/test_doctor.py",
    "cli/test_help.py",
    "cuda/test_training.py",
    "data/test_frame_pairs.py",
    "data/test_image_corpus.py",
    "data/test_loader.py",
    "data/test_pair_worker.py",
    "data/test_sampling.py",
    "data/test_source.py",
    "demo/test_run.py",
    "demo/test_videos.py",
    "evaluate/detection/test_detector.py",
    "evaluate/detection/test_finetune.py",
    "evaluate/test_features.py",
    "evaluate/test_finetune.py",
    "evaluate/test_labelled_videos.py",
    "evaluate/test_training_images.py",
    "faults/",
    "features/test_batch_reader.py",
    "features/test_extract.py",
    "features/test_extract_command.py",
    "features/test_extract_outputs.py",
    "features/test_ray_engine.py",
    "frames/test_prepare.py",
    "hub/test_export.py",
    "hub/test_upload.py",
    "images/test_torchvision.py",
    "loggers/",
    "methods/test_ranks.py",
    "report/test_alive.py",
    "report/test_report.py",
    "test_ahead.py",
    "test_architecture.py",
    "test_cluster.py",
    "test_device.py",
    "test_distributed.py",
    "test_docs.py",
    "test_examples.py",
    "test_golden.py",
    "test_heartbeat.py",
    "test_lock.py",
    "test_notebooks.py",
    "test_preload.py",
    "test_progress.py",
    "test_run_folder.py",
    "test_site.py",
    "tools/test_gpu_check.py",
    "tools/test_labelled_frames.py",
    "train/test_build.py",
    "train/test_length.py",
    "train/test_monitor.py",
    "train/test_pretrain.py",
    "train/test_pretrain_methods.py",
    "train/test_pretrain_ranks.py",
    "train/test_pretrain_wiring.py",
    "train/test_start.py",
    "video/test_attacks.py",
    "video/test_decord_reader.py",
    "video/test_faulty_files.py",
    "video/test_kinds.py",
    "video/test_moved.py",
    "video/test_mutations.py",
    "video/test_open_catalog.py",
    "video/test_real_edge.py",
    "video/test_requests.py",
    "video/test_scan.py",
    "video/test_selected_frames.py",
    "video/test_verify.py",
    "visualize/test_explore.py",
    "visualize/test_frame_map.py",
    "visualize/test_preview.py",
    "visualize/test_query.py",
    "visualize/test_search.py",
    "workers/test_pool.py",
    "workers/test_start.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the slow files."""
    for item in items:
        if item.path.relative_to(Path(__file__).parent).as_posix().startswith(SLOW):
            item.add_marker(pytest.mark.slow)


# How long an example takes says nothing on a machine that others use too. CI takes the same
# examples each time.
settings.register_profile("untimed", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("untimed")


def pytest_runtest_setup() -> None:
    """Check the shapes of the first calls of each test."""
    type_checks.calls.clear()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Keep to one: for tiny tensors a second costs more than it gives. Trainings set their own."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets what another has kept."""
    monkeypatch.setenv("VIDMOCO_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def video_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six small painted videos (do not write into it: all tests share it).

    The frames of video n spell 200 * n, 200 * n + 1, ...; n is the digit in the name. Videos 1 to 4
    are routed to decord (never pictures narrower than 192), 5 and 6 (MPEG-TS, open GOP) to PyAV.
    """
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "video1.mp4", first_index=200, num_frames=30, size=(256, 192))
    write_video(folder / "video2.mp4", first_index=400, num_frames=45, fps=15, size=(192, 128))
    deeper = folder / "deeper"
    write_video(deeper / "video3.mkv", first_index=600, num_frames=24, size=(192, 256))
    write_video(deeper / "video4.webm", first_index=800, codec="libvpx-vp9", size=(200, 120))
    write_video(deeper / "video5.ts", first_index=1000, num_frames=36)
    write_video(folder / "video6.MP4", first_index=1200, num_frames=40, open_gop=True)
    return folder


@pytest.fixture(scope="module")  # not longer: other tests count the processes
def decord_pool() -> Iterator[WorkerPool]:
    """One process with decord: give it (video, times)."""
    with WorkerPool(build_reader, workers=1, max_memory=2**31, max_seconds=60.0) as pool:
        yield pool


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real videos and images that ``VIDMOCO_REAL_DATA`` names, else a skip."""
    value = os.environ.get("VIDMOCO_REAL_DATA")
    if not value:
        pytest.skip("VIDMOCO_REAL_DATA does not name the folder of real data")
    folder = Path(value)
    if not (folder / "videos").is_dir():
        pytest.skip(f"VIDMOCO_REAL_DATA is {value}, which has no folder 'videos'")
    return folder


@pytest.fixture
def remote() -> Iterator[fsspec.AbstractFileSystem]:
    """A file system of URLs, memory://, that ends with the test."""
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without locks."""

    def flock(*args: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.fixture
def trained(tmp_path: Path) -> tuple[torch.nn.Module, Path]:
    """A saved ResNet-18 with batch-norm statistics of its own."""
    torch.manual_seed(0)
    backbone = build_backbone("resnet18", size=32)
    backbone.to(memory_format=torch.channels_last)  # as in a run
    backbone.train()(torch.randn(4, 3, 32, 32))
    folder = tmp_path / "run" / "backbone"
    folder.parent.mkdir()
    save_backbone(backbone, folder, input_size=32, provenance={"method": "moco", "steps": 3})
    return backbone.eval(), folder


COLOURS = {"blue": (30, 40, 200), "green": (40, 180, 50), "red": (200, 40, 30)}


@pytest.fixture
def make_images(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of noisy one-coloured images, `train/CLASS/n.png` and `val/CLASS/n.png`."""

    def make(*, train: int = 6, val: int = 3, name: str = "images", size: int = 20) -> Path:
        folder = tmp_path / name
        generator = np.random.default_rng(0)
        for split, count in (("train", train), ("val", val)):
            for colour, rgb in COLOURS.items():
                (folder / split / colour).mkdir(parents=True)
                for i in range(count):
                    pixels = generator.normal(rgb, 30, (size, size + 5, 3)).clip(0, 255)
                    image = Image.fromarray(pixels.astype(np.uint8))
                    image.save(folder / split / colour / f"{i}.png")
        return folder

    return make
