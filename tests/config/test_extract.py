"""Settings of ``extract`` that belong together; which frames are in test_frame_selection.py."""

from pathlib import Path

import pytest

from vidmoco.config.extract import ExtractCommand
from vidmoco.errors import ConfigError


def command(**flags):
    return ExtractCommand(videos=(Path("v"),), output=Path("f"), **flags)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"ray_address": "h:1"}, "need --engine ray"),
        ({"ray_workers": 2}, "need --engine ray"),
        ({"ray_gpus": 0.0}, "need --engine ray"),
        ({"engine": "ray", "ray_workers": 0}, "--ray-workers is 0"),
        ({"engine": "ray", "ray_gpus": -0.5}, "from 0 to 1, or a whole number"),
        ({"engine": "ray", "ray_gpus": 1.5}, "from 0 to 1, or a whole number"),
        ({"engine": "ray", "device": "cuda:1"}, "Ray gives each worker its GPU"),
        ({"engine": "ray", "device": "cpu", "ray_gpus": 0.5}, "not used with --device cpu"),
        ({"engine": "ray", "device": "cuda", "ray_gpus": 0}, "--device cuda needs GPUs"),
    ],
)
def test_flags_of_ray(flags, said):
    with pytest.raises(ConfigError, match=said):
        command(**flags)


def test_flags_of_ray_that_fit():
    assert command(engine="ray", ray_gpus=2.0).ray_gpus == 2
    assert command(engine="ray", ray_gpus=0.25, device="cuda", ray_workers=3).ray_workers == 3
    assert command().engine == "local"
