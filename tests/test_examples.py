import runpy
import warnings
from pathlib import Path

import pytest
import torch
from painted_videos import write_videos

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


def test_a_lightning_module(videos, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's own, of few workers and log intervals
        module = example("lightning_module.py")(
            videos, batch_size=4, size=32, accelerator="cpu", max_epochs=2, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
    trainer = module.trainer
    assert trainer.global_step == 2 and trainer.callback_metrics["loss"].isfinite()
