import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ablations import JUDGE, write_ablation
from painted_videos import write_video
from PIL import Image

from vidmoco.ablation.overlap import require_no_overlap
from vidmoco.ablation.plan import load_plan
from vidmoco.config.commands import PrepareCommand
from vidmoco.errors import ConfigError
from vidmoco.frames.prepare import prepare


@pytest.fixture
def folders(tmp_path):
    for n in range(4):
        write_video(tmp_path / "videos" / f"{n}.mp4", num_frames=4, first_index=100 * n)
        kind = "hall" if n % 2 else "attic"
        write_video(
            tmp_path / "labelled" / kind / f"{n}x.mp4", num_frames=4, first_index=1000 + 50 * n
        )
    for split, colour in (("train", 10), ("val", 90)):
        for n, kind in enumerate(("attic", "hall")):
            path = tmp_path / "images" / split / kind / f"{n}.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (32, 32), (colour, 60 * n, 0)).save(path)
    return tmp_path


def check(folder, **changes):
    path = write_ablation(
        folder, **{"videos": folder / "videos", "images": folder / "images"} | changes
    )
    require_no_overlap(load_plan(path))


def labelled(folder, **more):
    return {"rooms": {"images": str(folder / "labelled")} | JUDGE | more}


def test_videos_that_are_trained_on_are_no_judge(folders):
    check(folders)
    check(folders, judges=labelled(folders))
    shutil.copy(folders / "videos" / "2.mp4", folders / "labelled" / "hall" / "renamed.mp4")
    with pytest.raises(ConfigError, match=r"shows 1 video of .*, such as 'hall/renamed\.mp4'"):
        check(folders, judges=labelled(folders))
    check(folders, judges=labelled(folders, overlap=True))


def test_another_video_of_the_same_name_is_a_judge(folders):
    other = folders / "labelled" / "hall" / "2.mp4"
    write_video(other, num_frames=4, first_index=900)
    check(folders, judges=labelled(folders))


def test_prepared_frames_and_frames_of_videos_know_their_videos(folders):
    prepare(PrepareCommand(videos=(folders / "videos",), output=folders / "frames", workers=1))
    frames = {"videos": folders / "frames"}
    check(folders, judges=labelled(folders), **frames)
    shutil.copy(folders / "videos" / "2.mp4", folders / "labelled" / "hall")
    with pytest.raises(ConfigError, match="shows 1 video of the training"):
        check(folders, judges=labelled(folders), **frames)


def test_a_set_of_frames_of_labelled_videos(folders, tmp_path):
    options = {"image": pa.array([(folders / "images/val/attic/0.png").read_bytes()] * 2)}
    for split, video in (("train", "a/2.mp4"), ("val", "b/3.mp4")):
        columns = options | {"label": ["a", "b"], "video": [video, f"c/{split}.mp4"]}
        (folders / "frames_of").mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), folders / "frames_of" / f"{split}.parquet")
    with pytest.raises(ConfigError, match=r"shows 1 video of the training, such as '3\.mp4'"):
        check(folders, images=folders / "frames_of")


def test_images_that_are_trained_on(folders):
    corpus = {"videos": folders / "corpus"}
    shutil.copytree(folders / "images" / "train", folders / "corpus")
    check(folders, **corpus)  # only what is asked for counts
    shutil.copy(folders / "images" / "val" / "hall" / "1.png", folders / "corpus" / "other.png")
    with pytest.raises(
        ConfigError, match=r"shows 1 image of the training, such as 'val/hall/1\.png'"
    ):
        check(folders, **corpus)


def test_nothing_to_compare(folders):
    with pytest.raises(ConfigError, match="nowhere"):
        check(folders, videos=folders / "nowhere")
    with pytest.raises(ConfigError, match="nothing"):
        check(folders, images=folders / "nothing")
