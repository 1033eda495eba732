import shlex
from pathlib import Path

import pytest
import torch
from painted_videos import write_videos
from rich.console import Console

from vidmoco.cli.main import main
from vidmoco.config.recipe import dump_recipe, load_recipe, with_settings
from vidmoco.data.source import open_source
from vidmoco.device import training_precision
from vidmoco.train.first_screen import first_screen, last_screen


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_videos(folder, 5)
    return folder


@pytest.fixture(scope="module")
def prepared(videos):
    frames = videos.parent / f"{videos.name}-frames"
    assert main(["prepare", str(videos), "-o", str(frames), "--short-side", "32"]) == 0
    return frames


def screen(videos, recipe="vidmoco", steps=400, start=0, **settings):
    config = with_settings(load_recipe(recipe), {"videos": [videos], "workers": 1} | settings)
    source = open_source(config, resume=None, console=Console(quiet=True))
    lines = first_screen(
        config, source, source.batching(), range(start, steps),
        run=Path("runs/a"), recipe=recipe, device=torch.device("cpu"),
    )  # fmt: skip
    assert len(lines) <= 10
    return dict(line.split(maxsplit=1) for line in lines)


def test_what_matters_is_said(videos):
    found = screen(videos, batch_size=4, data={"segments": "whole"})
    assert found["run"] == "runs/a (config.yaml there has all settings)"
    assert found["recipe"] == (
        "vidmoco, with --data.batch-size 4 --data.segments whole --data.workers 1"
    )
    assert found["data"] == "5 videos, 6.0 s"
    assert found["batch"] == "4 times four frames of one video, at most 1.5 s apart"
    assert found["method"] == "moco, resnet18 at 64 px"
    precision = training_precision(torch.device("cpu"), "auto")
    assert (
        found["device"].startswith(f"cpu, {precision}, ")
        and "1 worker to decode" in found["device"]
    )
    assert found["steps"] == "0 to 400, 8 per epoch"


@pytest.mark.parametrize(
    ("needed", "said"),
    [
        (64, "6.0 s; prepared at 32 px, enlarged to 64 (prepare --short-side 64)"),
        (32, "6.0 s"),
        (17, "6.0 s"),
        (16, "6.0 s; prepared at 32 px (--short-side 16 is enough, and faster)"),
    ],
)
def test_prepared_frames_of_another_size_than_the_views_need(needed, said, prepared):
    data = {"segments": "whole", "short_side": needed}
    found = screen(prepared, batch_size=4, data=data, augment={"size": 16})
    assert found["data"].startswith("5 videos, ") and found["data"].endswith(said)


def test_little_footage_and_single_frames(videos):
    found = screen(videos, single_frame=True)
    # 5 x 1.2 s: an eighth of all is 0.75 s.
    assert found["data"] == ("5 videos, 6.0 s, in 10 segments of at most 0.6 s (--data.segments)")
    assert "128 times four views of one frame; an epoch takes" in found["batch"]


def test_gaps_are_told(videos):
    data = {"segments": "whole", "min_gap": 0.5, "max_gap": None}
    found = screen(videos, batch_size=4, data=data)
    assert found["batch"].endswith("four frames of one video, which span at least 0.5 s")
    assert "note" not in found
    data |= {"max_gap": 200.0}
    found = screen(videos, batch_size=4, data=data)
    assert found["batch"].endswith("four frames of one video, which span 0.5 to 200 s")
    two = {"augment": {"large_views": 2}, "data": data | {"frames_per_video": 2}}
    found = screen(videos, batch_size=4, **two)
    assert found["batch"].endswith("two frames of one video, 0.5 to 200 s apart")
    assert found["note"].startswith("No video is as long as --data.max-gap (200 s): gaps are at")


@pytest.mark.parametrize("single_frame", [True, False])
def test_a_method_of_one_view_has_no_pairs(videos, single_frame):
    data = {"single_frame": single_frame, "segments": "whole"}
    found = screen(videos, "inst_disc", batch_size=4, data=data)
    assert found["batch"] == (
        "4 times one view of a video, with its stored embedding as the positive"
    )


def test_views_that_are_larger_than_the_frames_are_told(videos):
    data = {"segments": "whole", "max_gap": None}
    found = screen(videos, batch_size=4, data=data, augment={"size": 224})
    assert found["note"] == (
        "Frames are reduced to 72 px, and views of 224 px are enlarged from them. Give "
        "--data.short-side 256."
    )


@pytest.mark.parametrize(
    ("optim", "said"),
    [
        ({"warmup_epochs": 33.0}, ""),
        (
            {"warmup_epochs": 34.0},
            "The learning rate rises for 272 steps, and there are 400. Give --optim.warmup-epochs "
            "2.5, or more --steps.",
        ),
        ({"update_every": "epoch"}, ""),
    ],
)
def test_schedules_that_are_longer_than_the_training_are_told(videos, optim, said):
    data = {"segments": "whole", "max_gap": None}
    found = screen(videos, batch_size=4, data=data, optim=optim)
    assert found.get("note", "") == said


def test_after_a_resume_only_a_warm_up_that_is_still_to_come_is_told(videos):
    data = {"segments": "whole", "max_gap": None}
    given = {"batch_size": 4, "data": data, "optim": {"warmup_epochs": 34.0}}  # of 272 steps
    assert screen(videos, start=271, **given)["note"].endswith("there are 400. Give more --steps.")
    assert "note" not in screen(videos, start=272, **given)


def test_a_rate_that_changes_between_epochs_needs_some(videos):
    data = {"segments": "time", "segment_seconds": 0.08, "max_gap": None}  # 75 segments, 18 batches
    optim = {"update_every": "epoch", "warmup_epochs": 0}
    found = screen(videos, steps=40, batch_size=4, data=data, optim=optim)
    assert found["steps"] == "0 to 40, 18 per epoch"
    assert (
        "between epochs alone, of which there are 2.2. Give --optim.update-every step"
        in found["note"]
    )
    found = screen(videos, steps=40, batch_size=4, data=data, optim={"warmup_epochs": 1.0})
    assert "note" not in found


def test_another_method_comes_with_its_own_defaults(videos):
    found = screen(videos, "simclr_small", method="moco", batch_size=16)
    assert "--method.name moco" in found["recipe"] and "projector" not in found["recipe"]
    assert found["note"].startswith("The queue holds")


def test_the_last_lines_can_be_pasted_into_a_shell():
    done, *commands = last_screen(Path("my run"))
    assert done == "Done: my run/backbone. What next:"
    assert [shlex.split(line)[1] for line in commands] == ["report", "evaluate", "extract"]
    assert all("my run" in shlex.split(line) for line in commands)


TAGGED = "resnet18.a1_in1k"


@pytest.mark.parametrize("backbone", [{"name": TAGGED}, {"weights": TAGGED}, {"pretrained": True}])
def test_a_rate_for_random_weights_is_told_where_trained_ones_are_given(videos, backbone):
    data = {"segments": "whole", "max_gap": None}
    found = screen(videos, batch_size=4, data=data, backbone=backbone)
    assert found["note"].endswith(
        "Give --optim.name adamw --optim.lr 1e-5 --optim.scale-lr none --optim.warmup-epochs 1."
    )
    short = screen(videos, steps=2, batch_size=4, data=data, backbone=backbone)["note"]
    assert short.count("--optim.warmup-epochs") == 1 and short.endswith("warmup-epochs 0.013.")
    assert "note" not in screen(
        videos, batch_size=4, data=data, backbone=backbone, optim={"lr": 1e-5}
    )
    assert "note" not in screen(videos, batch_size=4, data=data, backbone={"name": "resnet18"})
    assert "note" not in screen(videos, start=1, batch_size=4, data=data, backbone=backbone)


def test_the_rate_of_a_run_that_started_from_weights_suits_it(videos, tmp_path):
    config = with_settings(load_recipe("vidmoco"), {"backbone": TAGGED, "optim": {"lr": 2e-5}})
    (tmp_path / "mine.yaml").write_text(dump_recipe(config))
    data = {"segments": "whole", "max_gap": None}
    assert "note" not in screen(videos, str(tmp_path / "mine.yaml"), batch_size=4, data=data)


def test_the_queue_is_counted_in_what_it_holds(videos):
    found = screen(videos, "simclr_small", method="moco", batch_size=16)
    assert "65,536 keys of 10 segments, so about 6,554 of" in found["note"]
    assert "from its own segment." in found["note"]
