import pytest

from vidmoco.config.limits import LimitError, Limits
from vidmoco.errors import ConfigError

LIMITS = Limits(max_pixels=100, max_duration=60.0, max_frames=10)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"width": 10, "height": 10}, ""),
        ({"width": 101, "height": 1}, "max_pixels"),
        ({"num_frames": 10}, ""),
        ({"num_frames": 11}, "max_frames"),
        ({"duration": 60.0}, ""),
        ({"duration": 60.1}, "max_duration"),
    ],
)
def test_what_passes(facts, name):
    found, reason = LIMITS.problem(**facts)
    assert found == name
    assert (f"--{name.replace('_', '-')}" in reason) if name else reason == ""
    if name:
        with pytest.raises(LimitError) as caught:
            LIMITS.require(**facts)
        assert caught.value.limit == LIMITS.text_of(name)
    else:
        LIMITS.require(**facts)


def test_the_defaults_pass_8k_and_films_and_refuse_bombs():
    limits = Limits()
    assert limits.problem(width=7680, height=4320, num_frames=200_000, duration=4 * 3600)[0] == ""
    assert limits.problem(width=4320, height=8192)[0] == ""
    assert limits.problem(width=16000, height=16000)[0] == "max_pixels"
    assert limits.problem(duration=10 * 3600)[0] == "max_duration"


def test_a_limit_is_noted_with_its_value():
    assert LIMITS.text_of("max_pixels") == "max_pixels=100"


def test_memory_is_given_in_gib_and_used_in_bytes():
    assert Limits(max_memory_per_worker=0.5).max_memory == 2**29
    assert Limits().max_memory == 4 * 2**30


@pytest.mark.parametrize(
    "words",
    [
        {"max_pixels": 2**31},
        {"max_pixels": 0},
        {"max_seconds": float("inf")},
        {"max_seconds": float("nan")},
        {"max_memory_per_worker": float("inf")},
        {"max_memory_per_worker": 0},
        {"max_duration": -1},
        {"max_frames": 0},
    ],
)
def test_limits_out_of_range(words):
    with pytest.raises(ConfigError, match="--max-"):
        Limits(**words)
