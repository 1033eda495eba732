import math

import pytest
import scipy.stats
from ablations import write_ablation
from hypothesis import given
from hypothesis import strategies as st

from vidmoco.ablation.plan import load_plan
from vidmoco.ablation.summary import interval_of_mean, summarise


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=50))
def test_intervals_equal_scipys(values):
    low, high = interval_of_mean(values)
    error = scipy.stats.sem(values)
    free = min(len(values) - 1, 30)
    half = scipy.stats.t.ppf(0.975, free) * error
    assert (high - low) / 2 == pytest.approx(half, rel=1e-3, abs=1e-9)
    assert (high + low) / 2 == pytest.approx(sum(values) / len(values), abs=1e-9)


def test_one_value_has_no_interval():
    assert interval_of_mean([3.0]) is None


def test_means_spread_and_differences_of_equal_seeds(tmp_path):
    plan = load_plan(write_ablation(tmp_path))
    scores = {
        ("untrained", 0): {"set": {"k-NN 1": 10.0}},
        ("untrained", 1): {"set": {"k-NN 1": 10.0}},
        ("pairs", 0): {"set": {"k-NN 1": 31.0}},
        ("pairs", 1): {"set": {"k-NN 1": 35.0}},
        ("control", 1): {"set": {"k-NN 1": 30.0}},
    }
    found = summarise(plan, scores, {"pairs": 7, "control": 8})
    assert found["columns"] == [["set", "k-NN 1"]]
    untrained, pairs, control = found["rows"]
    assert untrained["columns"][0]["values"] == [10.0] and untrained["steps"] is None
    assert pairs["steps"] == 7
    assert pairs["columns"][0] == {
        "values": [31.0, 35.0],
        "mean": 33.0,
        "deviation": pytest.approx(math.sqrt(8)),
    }
    assert control["columns"][0]["values"] == [30.0]
    with_control, with_untrained = found["differences"]
    assert with_control["rows"] == ["pairs", "control"]
    assert with_control["columns"][0]["values"] == [5.0]  # of seed 1: control has no seed 0
    assert with_control["columns"][0]["interval"] is None
    assert with_untrained["columns"][0]["values"] == [21.0, 25.0]
    low, high = with_untrained["columns"][0]["interval"]
    assert (low + high) / 2 == pytest.approx(23) and high - low == pytest.approx(2 * 12.706 * 2)
