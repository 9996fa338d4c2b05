"""Medians and ratios of rows."""

from __future__ import annotations

import pytest

from benchmarks.probe import percentile
from benchmarks.results import MILLISECONDS, REQUESTS, Row
from benchmarks.summary import Comparison, Spread, compare, spread


def row(unit: str, *rounds: tuple[float, float]) -> Row:
    return Row("GET", unit, {}, [{"Keyp": own, "other": other} for own, other in rounds])


def test_rates() -> None:
    found = compare(row(REQUESTS, (50, 100), (90, 100), (120, 200)), "Keyp", "other")
    assert found == Comparison(own=90, other=100, ratio=0.6, low=0.5, high=0.9, rounds=3)


def test_of_times_less_is_better() -> None:
    found = compare(row(MILLISECONDS, (2, 1), (1, 4), (1, 2)), "Keyp", "other")
    assert found == Comparison(own=1, other=2, ratio=2, low=0.5, high=4, rounds=3)


def test_the_median_is_of_the_ratios_and_not_the_ratio_of_the_medians() -> None:
    found = compare(row(REQUESTS, (10, 10), (100, 200), (300, 100)), "Keyp", "other")
    assert found is not None
    assert found.ratio == 1
    assert found.own / found.other == 1
    found = compare(row(REQUESTS, (10, 20), (100, 200), (300, 100)), "Keyp", "other")
    assert found is not None
    assert (found.ratio, found.own / found.other) == (0.5, 1)


def test_a_round_that_only_one_has_ended_is_left_out() -> None:
    halves = Row("GET", REQUESTS, {}, [{"Keyp": 1, "other": 2}, {"Keyp": 100}, {"other": 100}, {}])
    found = compare(halves, "Keyp", "other")
    assert found == Comparison(own=1, other=2, ratio=0.5, low=0.5, high=0.5, rounds=1)
    assert spread(halves, "Keyp") == Spread(50.5, 1, 100)


def test_nothing_to_compare() -> None:
    assert compare(Row("GET", REQUESTS, {}, [{"Keyp": 1}]), "Keyp", "other") is None
    assert compare(Row("GET", REQUESTS, {}), "Keyp", "other") is None
    assert spread(Row("GET", REQUESTS, {}), "Keyp") is None


def test_a_time_of_nothing() -> None:
    found = compare(row(MILLISECONDS, (0, 1)), "Keyp", "other")
    assert found is not None
    assert found.ratio == float("inf")


@pytest.mark.parametrize(
    ("times", "share", "expected"),
    [
        (range(1, 101), 50, 50),
        (range(1, 101), 99, 99),
        (range(1, 101), 99.9, 100),
        (range(1, 10_001), 99.9, 9990),
        ([7], 50, 7),
        ([7], 99.9, 7),
        ([1, 2], 50, 1),
    ],
)
def test_percentiles(times: range | list[int], share: float, expected: int) -> None:
    assert percentile(list(times), share) == expected
