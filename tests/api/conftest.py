import pytest
from painted_videos import write_videos
from tiny_run import SMALL

import vidmoco


@pytest.fixture(scope="session")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_videos(folder, 3)
    return folder


@pytest.fixture(scope="session")
def run(videos, tmp_path_factory):
    return vidmoco.pretrain(videos, run=tmp_path_factory.mktemp("runs") / "a", steps=2, **SMALL)
