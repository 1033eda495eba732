"""Videos and a backbone for extractions that are killed."""

import pytest
from painted_videos import write_video

from vidmoco.backbones.build import build_backbone, save_backbone

LENGTHS = (3, 40, 8, 5, 64, 2, 12, 7)
"""Frames of each video."""


@pytest.fixture(scope="session")
def material(tmp_path_factory):
    """A folder with `videos` and the backbone `it`."""
    folder = tmp_path_factory.mktemp("killed")
    for number, length in enumerate(LENGTHS):
        name = f"{'deep/' * (number % 2)}{number}.mp4"
        write_video(folder / "videos" / name, first_index=100 * number, num_frames=length)
    save_backbone(
        build_backbone("test_resnet", size=32), folder / "it", input_size=32, provenance={}
    )
    return folder


@pytest.fixture
def num_videos():
    """Number of videos in the folder."""
    return len(LENGTHS)


@pytest.fixture(scope="session")
def num_frames():
    """Number of frames of all of them."""
    return sum(LENGTHS)
