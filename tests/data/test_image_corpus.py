import dataclasses
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from painted_videos import write_video
from PIL import Image
from rich.console import Console

import vidmoco
from vidmoco.cli.main import main
from vidmoco.config.data import DataConfig
from vidmoco.config.recipe import load_recipe
from vidmoco.data import image_corpus
from vidmoco.data.image_corpus import open_image_corpus
from vidmoco.data.order import Batching
from vidmoco.data.prepared_loader import load_prepared
from vidmoco.data.sampling import PairRule
from vidmoco.data.source import open_source
from vidmoco.errors import CheckpointError, ConfigError, DataError, VideoError
from vidmoco.json_lines import read_metrics


def picture(number, size=(30, 20)):
    return Image.new("RGB", size, (10 * number, 100, 200))


def png(number):
    file = io.BytesIO()
    picture(number).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    for number in range(12):
        path = tmp_path / "images" / f"class{number % 3}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    (tmp_path / "images" / "labels.txt").write_text("no image")
    return tmp_path / "images"


@pytest.fixture(params=["struct", "binary"])
def parquet(request, tmp_path):
    values = [png(number) for number in range(12)]
    column = [{"bytes": v, "path": "x"} for v in values] if request.param == "struct" else values
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"image": column, "label": [0] * 12}), path, row_group_size=5)
    return path


def batches(corpus, batch_size=4, canvas=(20, 30), **options):
    batching = Batching(num_sources=len(corpus.names), batch_size=batch_size)
    settings = {"rule": PairRule(), "seed": 0, "canvas": canvas, "steps": range(3), "workers": 2}
    return list(load_prepared(corpus, batching, **(settings | options)))


def test_each_image_is_a_video_of_one_frame(folder):
    corpus = open_image_corpus([folder])
    assert corpus.names[:2] == ["class0/00.png", "class0/03.png"] and len(corpus.names) == 12
    seen = []
    for batch in batches(corpus):
        assert batch.frames.shape == (4, 2, 3, 20, 30)
        assert torch.equal(batch.frames[:, 0], batch.frames[:, 1])
        assert batch.aspect_ratios.tolist() == [1.5] * 4
        assert batch.pts_seconds.abs().max() == 0
        for row, frame in zip(batch.source_ids.tolist(), batch.frames[:, 0], strict=True):
            number = int(corpus.names[row][-6:-4])
            assert frame[:, 3, 4].tolist() == [10 * number, 100, 200]
            seen.append(number)
    assert sorted(seen) == list(range(12))


def test_few_images_are_not_cut_into_segments(folder, tmp_path):
    """Each part would be a negative of the same picture's other parts."""
    (tmp_path / "few").mkdir()
    for name in ("class0/00.png", "class0/03.png"):
        shutil.copy(folder / name, tmp_path / "few" / Path(name).name)
    for settings in ({}, {"segment_seconds": 5.0}, {"min_gap": 1.0}):  # images have no time
        pairs = vidmoco.FramePairs(tmp_path / "few", batch_size=8, workers=0, **settings)
        ids = next(iter(pairs))["source_ids"]
        pairs.close()
        assert sorted(ids.tolist()) == [0] * 4 + [1] * 4


def test_parquet(parquet):
    corpus = open_image_corpus([parquet])
    assert corpus.names[7] == "train.parquet row 00000007"
    for row in (0, 7, 11):
        assert corpus.read(row)[:, 0, 0].tolist() == [10 * row, 100, 200]


def test_folders_and_files_together(folder, parquet):
    names = open_image_corpus([folder, parquet]).names
    assert names == [*open_image_corpus([folder]).names, *open_image_corpus([parquet]).names]
    assert open_image_corpus([parquet, folder]).names == [*names[12:], *names[:12]]


def test_a_folder_that_cannot_be_read_is_no_silent_loss(folder, monkeypatch):
    def refuse(path):
        if str(path).endswith("class1"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", refuse)  # root may list everything
    with pytest.raises(DataError, match=r"Cannot read the folder .*/class1: Permission denied\.$"):
        open_image_corpus([folder])


def test_files_beside_the_images_are_counted(folder):
    for name in ("a.heic", "b.HEIC", "c.jxl"):
        (folder / "class0" / name).write_bytes(b"x")
    line = "4 other files, not read: .heic (2), .txt (1), .jxl (1)"
    assert set(open_image_corpus([folder]).not_read.split(", ")) == set(line.split(", "))
    console = Console(file=io.StringIO(), width=200)
    config = dataclasses.replace(load_recipe("tiny_cpu"), videos=(folder,))
    open_source(config, resume=None, console=console)
    assert "4 other files, not read" in console.file.getvalue()


def test_a_gif_is_an_image_among_images_and_a_video_elsewhere(folder, tmp_path):
    picture(3).save(folder / "class0" / "animal.gif")
    corpus = open_image_corpus([folder])
    assert len(corpus.names) == 13
    assert corpus.read(corpus.names.index("class0/animal.gif")).shape == (3, 20, 30)
    (tmp_path / "gifs").mkdir()
    picture(3).save(tmp_path / "gifs" / "a.gif")
    assert open_image_corpus([tmp_path / "gifs"]) is None
    write_video(folder / "a.mp4", num_frames=2)
    assert open_image_corpus([folder]) is None


def test_images_of_another_shape_keep_it(folder):
    picture(3, size=(20, 20)).save(folder / "class0" / "03.png")
    corpus = open_image_corpus([folder])
    assert np.median(corpus.aspect_ratios) == 1.5
    shapes = {
        corpus.names[row]: ratio
        for batch in batches(corpus)
        for row, ratio in zip(batch.source_ids.tolist(), batch.aspect_ratios.tolist(), strict=True)
    }
    assert shapes["class0/03.png"] == 1 and shapes["class0/00.png"] == 1.5


def test_photos_are_decoded_no_larger_than_the_canvas_needs(tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(4):
        picture(number, size=(1600, 1200)).save(tmp_path / "photos" / f"{number}.jpg")
    config = load_recipe("tiny_cpu")
    source = open_source(
        dataclasses.replace(config, videos=(tmp_path / "photos",)), resume=None, console=Console()
    )
    corpus = source.load.args[0]
    assert source.canvas == (72, 96) and corpus.read(0).shape == (3, 300, 400)
    assert open_image_corpus([tmp_path / "photos"]).read(0).shape == (3, 1200, 1600)


def test_a_damaged_image_is_listed_and_replaced(folder):
    (folder / "class1" / "04.png").write_bytes(png(4)[:60])
    corpus = open_image_corpus([folder])
    failures = [failure for batch in batches(corpus) for failure in batch.failures]
    assert [corpus.names[row] for row, _ in failures] == ["class1/04.png"]
    with pytest.raises(VideoError, match=r"class1/04\.png: "):
        corpus.read(failures[0][0])


def test_videos_come_first(folder, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / "a.mp4", num_frames=3)
    picture(1).save(videos / "poster.png")  # beside a video it is no image of a corpus
    assert open_image_corpus([videos]) is None
    assert open_image_corpus([tmp_path / "none"]) is None
    with pytest.raises(ConfigError, match=r"videos holds no images, but other sources do"):
        open_image_corpus([folder, videos])


def test_a_video_without_a_suffix_is_no_image_either(folder, tmp_path):
    """As a scan finds it, beside its thumbnails."""
    write_video(tmp_path / "clip.mp4", num_frames=2)
    (tmp_path / "clip.mp4").rename(folder / "clip")
    assert open_image_corpus([folder]) is None


def test_a_catalog_is_no_image_file(tmp_path):
    pq.write_table(pa.table({"key": ["a.mp4"]}), tmp_path / "catalog.parquet")
    assert open_image_corpus([tmp_path / "catalog.parquet"]) is None
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ConfigError, match=r"broken\.parquet cannot be read as images"):
        open_image_corpus([tmp_path / "broken.parquet"])


def test_linked_folders_are_followed(folder, tmp_path):
    (folder / "class1").rename(tmp_path / "elsewhere")
    (folder / "class1").symlink_to(tmp_path / "elsewhere")
    (folder / "class2" / "loop").symlink_to(folder)
    names = open_image_corpus([folder]).names
    assert len(names) == 12 and "class1/04.png" in names


def test_a_bomb_costs_itself(folder):
    file = io.BytesIO()
    Image.new("1", (20000, 20000)).save(file, "PNG")
    (folder / "class0" / "00.png").write_bytes(file.getvalue())
    corpus = open_image_corpus([folder])
    assert len(corpus.aspect_ratios) == 11
    with pytest.raises(VideoError, match="DecompressionBomb"):
        corpus.read(0)


def test_a_column_of_another_name_is_said(tmp_path):
    pq.write_table(pa.table({"imag": [png(1)], "label": [0]}), tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match=r"has no column 'image'.*Did you mean 'imag'"):
        open_image_corpus([tmp_path / "a.parquet"])


def test_a_folder_of_shards(tmp_path, monkeypatch):
    for n in range(2):
        table = pa.table({"img": [png(2 * n), png(2 * n + 1)], "label": [0, 1]})
        pq.write_table(table, tmp_path / f"train-0000{n}-of-00002.parquet")
    pq.write_table(pa.table({"key": ["a.mp4"]}), tmp_path / "catalog.parquet")
    corpus = open_image_corpus([tmp_path])
    assert corpus.names[2] == "train-00001-of-00002.parquet row 00000000"
    assert [corpus.read(row)[0, 0, 0].item() for row in range(4)] == [
        Image.open(io.BytesIO(png(row))).convert("RGB").getpixel((0, 0))[0] for row in range(4)
    ]
    monkeypatch.setattr(image_corpus, "_MAX_PARQUET_BYTES", 10)
    with pytest.raises(ConfigError, match="GiB of images in Parquet, which are read into memory"):
        open_image_corpus([tmp_path])


def test_where_no_image_can_be_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no")
    with pytest.raises(ConfigError, match=r"None of the images can be read, such as a\.jpg"):
        _ = open_image_corpus([tmp_path]).aspect_ratios


def test_training_on_images_and_going_on(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = (
        "--recipe tiny_cpu --steps 4 --data.batch-size 4 --augment.size 32 --data.short-side 20 "
        "--backbone.name resnet10t --engine.threads 1 --method.queue-size 8 --engine.log-every 2 "
        "--data.workers 1 --engine.precision fp32"
    )
    command = ["pretrain", str(folder), *words.split(), "--run", "run"]
    assert main(command) == 0
    assert len(read_metrics(tmp_path / "run" / "metrics.jsonl")) == 2
    picture(1).save(folder / "class0" / "new.png")
    goes_on = ["--run", "run", "--resume", "--steps", "5"]
    assert main(["pretrain", *goes_on]) == 2
    assert "those that run began with, so the run would continue" in capsys.readouterr().err
    (folder / "class0" / "new.png").unlink()
    folder.rename(tmp_path / "moved")
    capsys.readouterr()
    assert main(["pretrain", *goes_on]) == 2
    assert "vidmoco pretrain FOLDER --run run --resume" in capsys.readouterr().err
    assert main(["pretrain", "moved", *goes_on]) == 0
    assert main(["pretrain", "--run", "run", "--resume", "--steps", "6"]) == 0


def test_images_are_known_by_their_content(folder, tmp_path):
    key = open_image_corpus([folder]).key
    shutil.copytree(folder, tmp_path / "copy")
    assert open_image_corpus([tmp_path / "copy"]).key == key
    path = tmp_path / "copy" / "class0" / "03.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    assert open_image_corpus([tmp_path / "copy"]).key != key


def test_another_parquet_file_of_the_same_name_and_length(tmp_path):
    keys = []
    for shift in (0, 9, 0):
        table = pa.table({"image": [png(shift + n) for n in range(4)]})
        pq.write_table(table, tmp_path / "a.parquet", row_group_size=1 + len(keys))
        keys.append(open_image_corpus([tmp_path / "a.parquet"]).key)
    assert keys[0] == keys[2] != keys[1]


def test_a_run_of_the_first_version_goes_on_in_its_place(folder, tmp_path):
    corpus = open_image_corpus([folder])
    config = dataclasses.replace(
        load_recipe("tiny_cpu"), videos=(folder,), data=DataConfig(batch_size=2)
    )
    note = tmp_path / "frames.json"
    note.write_text(json.dumps(corpus.key_of_first_version))
    open_source(config, resume=tmp_path, console=Console(quiet=True))
    note.write_text(json.dumps(corpus.key_of_first_version | {"content": "0"}))
    with pytest.raises(CheckpointError, match="are not those that"):
        open_source(config, resume=tmp_path, console=Console(quiet=True))
