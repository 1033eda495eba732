import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from painted_videos import read_index, write_video
from rich.console import Console

from vidmoco.cli.main import main
from vidmoco.config.data import DataConfig
from vidmoco.config.limits import Limits
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.config.recipe import load_recipe
from vidmoco.data import source as pairs
from vidmoco.data.sampling import PairRule
from vidmoco.data.source import open_source
from vidmoco.errors import CheckpointError, ConfigError

CONSOLE = Console(stderr=True)


@pytest.fixture(scope="module")
def prepared_folder(video_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "frames"
    assert main(["prepare", str(video_folder), "-o", str(folder), "--workers", "1"]) == 0
    return folder


def config_of(*videos, seed=0, limits=Limits(), **data):  # noqa: B008
    data = {"batch_size": 2, "short_side": 32, "workers": 0} | data
    config = load_recipe("tiny_cpu")
    assert isinstance(config, PretrainConfig)
    return dataclasses.replace(
        config, videos=videos, seed=seed, limits=limits, data=DataConfig(**data)
    )


def open_it(config, *, resume=None):
    return open_source(config, resume=resume, console=CONSOLE)


def test_batching_follows_the_settings(video_folder):
    source = open_it(config_of(video_folder, pairs_per_visit=3, block_gib=1.0))
    batching = source.batching()
    assert (batching.num_sources, batching.batch_size, batching.pairs_per_visit) == (6, 2, 3)
    assert batching.largest_block == 3  # all of an epoch
    small = open_it(config_of(video_folder, pairs_per_visit=3, block_gib=3 * 2**-15))
    assert small.batching().largest_block == 1
    large = open_it(config_of(video_folder, batch_size=7, segments="whole")).batching()
    assert (large.num_sources, large.batches_per_epoch) == (6, 8)  # with each ten times


def test_settings_reach_the_loader(video_folder, monkeypatch):
    given = {}

    def noted(*args, **options):
        given.update(options)
        yield from ()

    monkeypatch.setattr(pairs, "load_pairs", noted)
    limits = Limits(max_seconds=7, max_memory_per_worker=2)
    config = config_of(
        video_folder, seed=5, limits=limits, short_side=40, workers=3, decoder="pyav", max_gap=1.5
    )
    source = open_it(config)
    assert not list(source.batches(source.batching(), range(3, 9)))
    assert given["limits"] == limits
    assert given["decoder"] == "pyav"
    assert given["workers"] == 3
    assert given["canvas"][0] == 40
    assert given["rule"] == PairRule(max_gap=1.5)
    assert (given["seed"], given["steps"]) == (5, range(3, 9))


def test_videos_and_prepared_frames_give_pairs_alike(video_folder, prepared_folder):
    """The order and the times are the same; a prepared frame is the last before a time."""
    options = {"batch_size": 3, "short_side": 64, "pairs_per_visit": 1}
    sources = [open_it(config_of(folder, **options)) for folder in (video_folder, prepared_folder)]
    names = [sorted(source.name(row) for row in range(6)) for source in sources]
    assert names[0] == names[1]
    raw, prepared = (list(s.batches(s.batching(), range(4))) for s in sources)
    for decoded, read in zip(raw, prepared, strict=True):
        assert [sources[0].name(row) for row in decoded.source_ids.tolist()] == [
            sources[1].name(row) for row in read.source_ids.tolist()
        ]
        assert torch.equal(decoded.aspect_ratios, read.aspect_ratios)
        behind = decoded.pts_seconds - read.pts_seconds
        assert behind.min() > -1e-9
        assert behind.max() < 0.25 + 1e-6  # 4 frames a second are kept
        for a, b in zip(decoded.frames, read.frames, strict=True):
            assert a.shape == b.shape
            spelled = [read_index(x[0].permute(1, 2, 0).numpy()) // 200 for x in (a, b)]
            assert spelled[0] == spelled[1]  # of one video


def test_prepared_frames_stand_alone(video_folder, prepared_folder):
    with pytest.raises(ConfigError, match="cannot be mixed with other sources"):
        open_it(config_of(video_folder, prepared_folder))
    with pytest.raises(ConfigError, match="No videos given"):
        open_it(config_of())


def test_a_run_resumes_with_the_frames_it_began_with(prepared_folder, tmp_path):
    config = config_of(prepared_folder)
    source = open_it(config)
    run = tmp_path / "run"
    run.mkdir()
    source.save(run)
    assert open_it(config, resume=run).name(0) == source.name(0)
    text = (run / "frames.json").read_text()
    (run / "frames.json").write_text(text.replace("frames-1", "frames-2"))
    assert open_it(config, resume=run).name(0) == source.name(0)  # a name says nothing
    (run / "frames.json").write_text(text.replace('"content": "', '"content": "1'))
    with pytest.raises(CheckpointError, match="are not those that"):
        open_it(config, resume=run)
    (run / "frames.json").write_text("[1]")
    with pytest.raises(CheckpointError, match=r"frames\.json cannot be read"):
        open_it(config, resume=run)
    (run / "frames.json").unlink()
    with pytest.raises(CheckpointError, match=r"frames\.json cannot be read"):
        open_it(config, resume=run)


def test_other_frames_of_the_same_number(tmp_path):
    """Their counts are the same, and the names of the tables."""
    for number in range(4):
        write_video(tmp_path / f"videos/{number}.mp4", num_frames=10, first_index=100 * number)
    words = ["prepare", str(tmp_path / "videos"), "--workers", "1", "-o"]
    assert main([*words, str(tmp_path / "frames")]) == 0
    config = config_of(tmp_path / "frames")
    run = tmp_path / "run"
    run.mkdir()
    open_it(config).save(run)
    write_video(tmp_path / "videos/2.mp4", num_frames=10, first_index=900)
    shutil.rmtree(tmp_path / "frames")
    assert main([*words, str(tmp_path / "frames")]) == 0
    keys = [
        json.loads((folder / "frames.json").read_text()) for folder in (run, tmp_path / "frames")
    ]
    differ = {name for name in keys[0] if keys[0][name] != keys[1][name]}
    assert {"sha256", "content"} <= differ <= {"sha256", "content", "num_bytes"}
    with pytest.raises(CheckpointError, match="are not those that"):
        open_it(config, resume=run)


def test_a_training_from_prepared_frames(prepared_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--recipe", "tiny_cpu", "--data.batch-size", "4", "--augment.size", "32"]
    words += ["--data.short-side", "48"]
    run = ["--backbone.name", "resnet10t", "--method.queue-size", "16", "--run", "run"]
    run += ["--optim.warmup-epochs", "0", "--steps", "2"]
    assert main(["pretrain", str(prepared_folder), *words, *run]) == 0
    assert "steps   0 to 2, 8 per epoch" in capsys.readouterr().err
    assert Path("run/backbone").is_dir()
    assert not Path("run/catalog.parquet").exists()
    assert main(["pretrain", "--resume", "--run", "run"]) == 0
    assert main(["preview", str(prepared_folder), *words, "--pairs", "2"]) == 0


def test_prepared_frames_that_have_been_moved(
    prepared_folder, video_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(prepared_folder, "here")
    words = ["--recipe", "tiny_cpu", "--data.batch-size", "4", "--augment.size", "32"]
    words += ["--data.short-side", "48", "--backbone.name", "resnet10t", "--run", "run"]
    words += ["--optim.warmup-epochs", "0", "--steps", "1", "--method.queue-size", "16"]
    assert main(["pretrain", "here", *words]) == 0
    Path("here").rename("there")
    capsys.readouterr()
    resume = ["--run", "run", "--resume", "--steps", "2"]
    assert main(["pretrain", *resume]) == 2
    assert "vidmoco pretrain FOLDER --run run --resume" in capsys.readouterr().err
    assert main(["pretrain", str(video_folder), *resume]) == 2
    assert "does not hold the frames that run began with" in capsys.readouterr().err
    assert main(["pretrain", "there", "--seed", "3", *resume]) == 2
    assert "Saved and given settings differ in seed: 0 and 3. Leave" in capsys.readouterr().err
    assert main(["pretrain", "there", *resume]) == 0
    key = json.loads(Path("there/frames.json").read_text())
    key["content"] = "0"
    Path("there/frames.json").write_text(json.dumps(key))
    assert main(["pretrain", "there", *resume[:-1], "3"]) == 2
    assert "are not those that run began with" in capsys.readouterr().err


def test_a_batch_that_no_memory_holds_is_refused_at_once(video_folder):
    config = config_of(video_folder, short_side=20_000, pairs_per_visit=64)
    source = open_it(config)
    with pytest.raises(ConfigError, match=r"Batches of 2 need [\d,]+ GiB for frames, and this"):
        source.batching()
