import math

import pytest

from vidmoco.report.axes import Scale, inner_ticks, number, round_ticks, tick_labels


def test_a_scale_is_straight_and_may_turn_around():
    scale = Scale(low=-2, high=2, start=100, end=20)
    assert [scale.place(v) for v in (-2, 0, 1, 2)] == [100, 60, 40, 20]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 50, 100]),
        (-3.7, 0.7, [-4, -2, 0, 2]),
        (0, 0.004, [0, 0.001, 0.002, 0.003, 0.004]),
        (5, 5, [2, 4, 6, 8]),
        (0, 0, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_round_ticks_hold_all_values(low, high, expected):
    assert round_ticks(low, high) == pytest.approx(expected)


def test_inner_ticks_are_not_beyond_the_values():
    assert inner_ticks(1.4, 165, most=5) == [50, 100, 150]
    assert inner_ticks(3, 3, most=5) == [3]


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        ([-4, -2, 0, 2], ["−4", "−2", "0", "2"]),
        ([0, 0.5, 1.0], ["0", "0.5", "1.0"]),
        ([0, 1000, 2000], ["0", "1,000", "2,000"]),
        ([0, 2e-5], ["0", "2e-5"]),
        ([0.1 + 0.2, 0.4], ["0.3", "0.4"]),
        ([7], ["7"]),
        ([0.75], ["0.75"]),
        ([1 / 3], ["0.333"]),
        ([12345.6], ["12,346"]),
        ([7.5e-5], ["7.5e-5"]),
        ([0.25, 0.75], ["0.25", "0.75"]),
        ([0, 5e-6, 1e-5, 1.5e-5], ["0", "5e-6", "1.0e-5", "1.5e-5"]),
        ([1, 1.00001], ["1.00000", "1.00001"]),
        ([0], ["0"]),
    ],
)
def test_ticks_of_an_axis_have_the_same_decimals(ticks, expected):
    assert tick_labels(ticks) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (57.8125, " %", "57.8 %"),
        (-3.68168, "", "−3.682"),
        (52.50133, "", "52.50"),
        (212.13, "/s", "212.1/s"),
        (12345.6, "", "12,346"),
        (1155, "", "1,155"),
        (0.0, "", "0"),
        (7.967e-9, "", "7.97e-9"),
        (-0.0045, "", "−0.0045"),
        (math.nan, " %", "not a number %"),
        (math.inf, "", "infinite"),
    ],
)
def test_numbers_as_one_reads_them(value, unit, expected):
    assert number(value, unit) == expected
