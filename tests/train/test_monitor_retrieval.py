import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from painted_videos import write_video
from rich.console import Console

from vidmoco.backbones.preprocess import Preprocess
from vidmoco.cli.main import main
from vidmoco.config.data import DataConfig
from vidmoco.config.monitor import MonitorConfig
from vidmoco.config.recipe import load_recipe
from vidmoco.data.source import open_source
from vidmoco.errors import ConfigError
from vidmoco.evaluate.features import Features
from vidmoco.train.monitor_backbone import FrozenCopy
from vidmoco.train.monitor_retrieval import RetrievalProbe, draw_videos, rank_one

PREPROCESS = Preprocess(
    size=32, crop_pct=1.0, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3,
    crop_mode="squash",
)  # fmt: skip
# White is another colour in each video.
WHITES = [(255, 90, 90), (90, 255, 90), (90, 90, 255), (255, 255, 90), (255, 90, 255)]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for number, white in enumerate(WHITES):
        seconds = (2.0, 2.0, 2.0, 1.0, 0.3)[number]  # at 10 frames a second
        write_video(
            folder / f"{number}.mp4",
            num_frames=round(10 * seconds),
            first_index=1000 + 200 * number,
            white=white,
        )
    return folder


class Colours(FrozenCopy):
    """Features of a frame: its mean colour."""

    def __init__(self):
        self.seen = []

    def features(self, batches):
        self.seen.append([len(batch.rows) for batch in batches])
        values = [batch.images.float().mean(dim=(2, 3)) for batch in batches]
        rows = torch.cat([batch.rows for batch in batches])
        backwards = torch.arange(len(rows)).flip(0)  # as gathered, the order may be any
        return Features(values=torch.cat(values)[backwards], rows=rows[backwards], refused=[])


def probe(*sources, preprocess=PREPROCESS, workers=0, **options):
    log = io.StringIO()
    console = Console(file=log, width=250)
    config = replace(
        load_recipe("tiny_cpu"),
        videos=sources,
        data=DataConfig(batch_size=2, short_side=32, workers=workers),
        monitor=MonitorConfig(retrieval=True, **options),
    )
    source = open_source(config, resume=None, console=console)
    return RetrievalProbe(config.monitor, source, preprocess, console=console), log


def test_as_many_videos_for_each_distance_as_there_are():
    durations = np.array([1.0, 9.0, 3.0, 0.4, 20.0, 9.0, 2.5, 8.0])
    draws = draw_videos(durations, distances=(8.0, 0.5, 2.0), num_videos=3, seed=0)
    rows = {d: [x.row for x in draws if d in x.distances] for d in (0.5, 2.0, 8.0)}
    assert [len(found) for found in rows.values()] == [3, 3, 3]
    every = draw_videos(durations, distances=(8.0, 0.5), num_videos=100, seed=0)
    assert [x.row for x in every if 8.0 in x.distances] == [1, 4, 5]  # 8.0 s are not longer
    assert [x.row for x in every] == [0, 1, 2, 4, 5, 6, 7]
    for draw in draws:
        assert 0 <= draw.start <= durations[draw.row] - max(draw.distances)
        assert list(draw.distances) == sorted(draw.distances)
        assert draw.moment.times == (draw.start, *(draw.start + d for d in draw.distances))
    assert draws == draw_videos(durations, distances=(0.5, 2.0, 8.0), num_videos=3, seed=0)
    others = [draw_videos(durations, distances=(2.0,), num_videos=3, seed=s) for s in range(5)]
    assert len({tuple(d.row for d in some) for some in others}) > 1
    assert len({d.start for some in others for d in some if d.row == 4}) > 1


def test_draws_are_random_over_videos_and_times():
    draws = draw_videos(np.full(2000, 10.0), distances=(2.0,), num_videos=500, seed=0)
    assert 900 < np.mean([draw.row for draw in draws]) < 1100
    starts = [draw.start for draw in draws]
    assert 3.7 < np.mean(starts) < 4.3
    assert max(starts) > 7.9


def test_rank_one_is_by_cosine_and_to_the_own_frame():
    gallery = torch.eye(4)
    assert rank_one(7 * gallery + 0.1, gallery) == 100
    assert rank_one(gallery[[0, 2, 1, 3]], gallery) == 50
    assert rank_one(torch.eye(2), torch.tensor([[1.0, 0.0], [9.0, 10.0]])) == 100
    assert rank_one(torch.ones(4, 2), torch.ones(4, 2)) == 25  # collapsed: chance


def test_videos_and_prepared_frames(videos, tmp_path):
    options = {"distances": (0.5, 1.5, 8.0), "batch_size": 4}
    measure, log = probe(videos, **options)
    assert measure(Colours()) == {"retrieval": {"0.5": 100.0, "1.5": 100.0}}
    said = (
        "retrieval of the same video at 0.5 s (4 videos), 1.5 s (3 videos); 3.1e-05 GiB of memory"
    )
    assert said in log.getvalue()
    assert "8 s is left out: fewer than two videos have frames so far apart" in log.getvalue()
    frozen = Colours()
    measure(frozen)
    assert frozen.seen == [[4, 4, 3]]  # 4 queries, 4 and 3 of the gallery
    words = ["prepare", str(videos), "-o", str(tmp_path / "f"), "--fps", "None", "--workers", "1"]
    assert main(words) == 0
    prepared, again = probe(tmp_path / "f", **options)
    assert prepared(Colours()) == {"retrieval": {"0.5": 100.0, "1.5": 100.0}}
    assert said in again.getvalue()
    ours, theirs = (
        torch.cat([batch.images for batch in one._batches]).float() for one in (measure, prepared)
    )
    assert (ours - theirs).abs().mean() < 4  # JPEG


def test_queries_look_for_another_frame_of_their_video(videos):
    """What is not of one colour is not found by colour alone."""
    measure, _ = probe(videos, distances=(0.5,))
    numbers = [pair for pairs in measure._pairs.values() for pair in pairs]
    assert numbers == [(0, 1), (2, 3), (4, 5), (6, 7)]

    class Shifted(Colours):
        def features(self, batches):
            found = super().features(batches)
            # The gallery of each is the query of the next.
            shift = {row: 2 * ((row // 2 + row % 2) % 4) for row in found.rows.tolist()}
            values = torch.stack([torch.eye(8)[shift[row]] for row in found.rows.tolist()])
            return Features(values=values, rows=found.rows, refused=[])

    assert measure(Shifted()) == {"retrieval": {"0.5": 0.0}}


def test_one_frame_is_not_another_and_damage_is_left_out(videos, tmp_path):
    words = ["prepare", str(videos), "-o", str(tmp_path / "f"), "--fps", "2", "--workers", "1"]
    assert main(words) == 0
    measure, log = probe(tmp_path / "f", distances=(0.1, 0.9), seed=1)
    pairs = measure._pairs
    assert len(pairs.get(0.1, [])) < 4  # frames are half a second apart
    assert "at 0.9 s" in log.getvalue() or ", 0.9 s" in log.getvalue()
    shard = tmp_path / "f" / "shards" / "000000.tar"
    data = shard.read_bytes()
    shard.write_bytes(data[:600] + bytes(len(data[600:])))
    with pytest.raises(ConfigError, match=r"fewer than two videos.*Cannot be read: '.*mp4'"):
        probe(tmp_path / "f", distances=(0.9,))


def test_what_cannot_be_measured_is_refused(videos):
    with pytest.raises(ConfigError, match=r"distances is 5, 8 s.*longest lasts 2 s.*Give shorter"):
        probe(videos, distances=(5.0, 8.0))
    with pytest.raises(ConfigError, match=r"8 frames of the monitor.*--monitor.max-gib is 1e-09"):
        probe(videos, distances=(0.5,), max_gib=1e-9)


def test_one_video_has_no_other_to_be_told_from(videos):
    one = next(path for path in sorted(videos.iterdir()) if path.suffix == ".mp4")
    with pytest.raises(ConfigError, match=r"among several, and there is only one\. Give more"):
        probe(one, distances=(0.1,))
