from pathlib import Path

import numpy as np
import pytest
import torch

from vidmoco.config.data import DataConfig
from vidmoco.config.evaluation import EvaluateCommand, LabelledVideosConfig, SearchCommand
from vidmoco.config.frame_selection import FrameSelection
from vidmoco.config.limits import Limits
from vidmoco.config.plain import build_settings, checked, from_python, to_plain
from vidmoco.config.pretrain import PretrainConfig
from vidmoco.errors import ConfigError


class Named:
    """A path of another library."""

    def __fspath__(self):
        return "runs/a"


class Odd:
    def tolist(self):
        raise NotImplementedError("as a tensor of the device meta does")


def test_values_of_python_and_numpy_become_plain():
    given = {"a": np.float32(0.5), "b": np.arange(2), "c": (Path("x"), Named()), "d": range(2)}
    assert to_plain(given) == {"a": 0.5, "b": [0, 1], "c": ["x", "runs/a"], "d": [0, 1]}
    assert type(to_plain(np.int64(3))) is int
    assert to_plain({"device": torch.device("cuda", 1)}) == {"device": "cuda:1"}
    spelled = [np.float16, np.dtype("float16"), torch.float16, np.float16(0).dtype]
    assert to_plain(spelled) == ["float16"] * 4
    for odd in (Odd, Odd()):
        with pytest.raises(ConfigError, match=r"'top' is .*Odd.*; it must be a whole number"):
            from_python(SearchCommand, {"features": "f", "query": "q", "top": odd})


def test_settings_from_python():
    assert from_python(FrameSelection, {"times": np.array([1, 2])}).times == (1.0, 2.0)
    videos = LabelledVideosConfig(min_videos=3)
    given = {"images": Path("i"), "backbone": [Named()], "k": range(1, 3), "videos": videos}
    command = from_python(EvaluateCommand, given)
    assert (command.images, command.backbone, command.k) == (Path("i"), ("runs/a",), (1, 2))
    assert command.videos is videos
    as_dict = from_python(EvaluateCommand, given | {"videos": {"min_videos": 3}})
    assert as_dict == command
    one = from_python(EvaluateCommand, given | {"backbone": Named(), "k": 5, "finetune": "head"})
    assert (one.backbone, one.k, one.finetune) == (("runs/a",), (5,), ("head",))
    for wrong in (None, {"a": 1}):
        with pytest.raises(ConfigError, match="it must be a list of whole numbers"):
            from_python(EvaluateCommand, given | {"k": wrong})
    with pytest.raises(ConfigError, match=r"unknown key 'videos\.min_video'"):
        from_python(EvaluateCommand, given | {"videos": {"min_video": 3}})


def test_limits_may_be_infinite():
    limits = Limits(max_duration=float("inf"))
    given = {"features": "f", "query": "q", "limits": limits}
    assert from_python(SearchCommand, given).limits is limits


def test_arguments_are_of_the_types_of_a_function():
    def function(size: int | None = None, share: float = 0.5, name: str = "a") -> None: ...

    assert checked(function, size=None, share=np.float64(1)) == {"size": None, "share": 1.0}
    with pytest.raises(ConfigError, match=r"'size' is 1\.5; it must be a whole number"):
        checked(function, size=1.5)
    with pytest.raises(ConfigError, match="'name' is 3; it must be a string"):
        checked(function, name=3)


def test_a_message_shows_the_beginning_of_a_long_value():
    with pytest.raises(ConfigError) as caught:
        build_settings(DataConfig, {"batch_size": list(range(999))}, at="data")
    assert "'data.batch_size' is [0, 1, 2" in str(caught.value)
    assert "…; it must be a whole number" in str(caught.value) and len(str(caught.value)) < 200


def test_dotted_names_are_those_of_sections():
    given = {"data.batch_size": 64, "seed": 3, "data": {"max_gap": 1.5}}
    config = build_settings(PretrainConfig, given, at="")
    assert (config.data.batch_size, config.data.max_gap, config.seed) == (64, 1.5, 3)
    for wrong, message in (
        ({"data.seed": 1, "data": {"seed": 2}}, r"'data\.seed' is given twice"),
        (
            {"data": 3, "data.max_gap": 2},
            r"'data\.max_gap' is given, and 'data' is 3\.",
        ),
        ({"data.max_gaps": 2}, r"unknown key 'data\.max_gaps'"),
        ({"dat.max_gap": 2}, "unknown key 'dat'"),
        ({"optim.learning_rate": 2}, r"'learning_rate' is lr\."),
    ):
        with pytest.raises(ConfigError, match=message):
            build_settings(PretrainConfig, wrong, at="")
    videos = from_python(
        EvaluateCommand, {"images": "i", "backbone": "b", "videos.min_videos": 3}
    ).videos
    assert videos is not None and videos.min_videos == 3
