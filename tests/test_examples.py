import runpy
import warnings
from pathlib import Path

import pytest
import torch
from child_processes import launch
from painted_videos import write_videos

import vidmoco

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name):
    return runpy.run_path(str(EXAMPLES / name))["main"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write_videos(folder, 5)
    return folder


def test_a_loop_of_ones_own_goes_on_where_it_was(videos, tmp_path):
    main, options = example("own_loop.py"), {"batch_size": 4, "size": 32}
    torch.manual_seed(0)
    whole = main(videos, tmp_path / "a.pt", steps=4, **options)
    torch.manual_seed(0)
    first = main(videos, tmp_path / "b.pt", steps=2, **options)
    assert main(videos, tmp_path / "b.pt", steps=4, **options) == whole[2:]
    assert len(whole) == 4 and first == whole[:2]
    assert vidmoco.load_frozen(tmp_path / "a_backbone").preprocess.size == 32


def test_a_lightning_module(videos, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's own, of few workers and log intervals
        module = example("lightning_module.py")(
            videos, batch_size=4, size=32, accelerator="cpu", max_epochs=2, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
    trainer = module.trainer
    assert trainer.global_step == 2 and trainer.callback_metrics["loss"].isfinite()


LIGHTNING = """
import os
import runpy
import sys
import warnings
import torch
from vidmoco.augment import views
torch.set_num_threads(1)
warnings.simplefilter("ignore")
build_augment, kept = views.build_augment, []
def keeping(config):
    def augment(*args, **options):
        kept.append(torch.stack(build_augment(config)(*args, **options)))
        return list(kept[-1])
    return augment
views.build_augment = keeping
script, videos, folder = sys.argv[1:]
world_size, rank = os.environ["WORLD_SIZE"], os.environ["RANK"]  # Lightning takes them away
runpy.run_path(script)["main"](
    videos, batch_size=4, size=32, accelerator="cpu", devices=int(world_size),
    max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False,
)
torch.save(kept, f"{folder}/{world_size} {rank}.pt")
"""


def test_two_processes_of_lightning_have_the_views_of_one(videos, tmp_path):
    words = ["-c", LIGHTNING, str(EXAMPLES / "lightning_module.py"), str(videos), str(tmp_path)]
    for world_size in (1, 2):
        launch(words, world_size=world_size)
    whole, *shares = (torch.load(tmp_path / f"{name}.pt") for name in ("1 0", "2 0", "2 1"))
    assert len(whole) == 2
    for views, *parts in zip(whole, *shares, strict=True):
        assert views.shape == (2, 4, 3, 32, 32)
        assert torch.equal(views, torch.cat(parts, dim=1))
