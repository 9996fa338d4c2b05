"""Positions as numbers and back, distances, and that the cells of a search leave nothing out."""

from __future__ import annotations

from math import inf, isclose, pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.algorithms import geohash
from keyp.algorithms.geohash import LATITUDE_MAX, LONGITUDE_MAX, Region, decode, distance, encode

LONGITUDES = st.one_of(st.floats(-LONGITUDE_MAX, LONGITUDE_MAX), st.sampled_from([-180.0, 180.0, 0.0, 179.9999]))
LATITUDES = st.one_of(st.floats(-LATITUDE_MAX, LATITUDE_MAX), st.sampled_from([-LATITUDE_MAX, LATITUDE_MAX, 0.0]))
NEAR = st.floats(-0.01, 0.01)

# Positions of Redis's manual, the score and the text it has for them.
PLACES = [
    (13.361389, 38.115556, 3479099956230698, b"sqc8b49rny0"),
    (15.087269, 37.502669, 3479447370796909, b"sqdtr74hyu0"),
    (0.0, 0.0, 3377699720527872, b"s0000000000"),
]


@pytest.mark.parametrize(("longitude", "latitude", "score", "letters"), PLACES)
def test_known_places(longitude: float, latitude: float, score: int, letters: bytes) -> None:
    assert encode(longitude, latitude) == score
    assert geohash.text(*decode(float(score))) == letters


@given(longitude=LONGITUDES, latitude=LATITUDES)
def test_a_position_comes_back_as_one_nearby(longitude: float, latitude: float) -> None:
    hashed = encode(longitude, latitude)
    assert 0 <= hashed < 1 << 54
    assert distance(longitude, latitude, *decode(float(hashed))) < 1


@given(row=st.integers(0, (1 << 32) - 1), column=st.integers(0, (1 << 32) - 1))
def test_interleaving(row: int, column: int) -> None:
    bits = geohash.interleave(row, column)
    assert bits == sum(((row >> at & 1) | (column >> at & 1) << 1) << 2 * at for at in range(32))
    assert (geohash._gather(bits), geohash._gather(bits >> 1)) == (row, column)


@pytest.mark.parametrize(
    ("score", "bits"),
    [(0.0, 0), (-0.0, 0), (0.9, 0), (5.0, 5), (-0.5, 0), (-5.0, 2**64 - 5), (2.0**63, 2**63), (1e19, 10**19), (1e30, 0),
     (inf, 0), (-inf, 2**63), (-1e30, 2**63)],
)  # fmt: skip
def test_scores_that_are_no_geohashes(score: float, bits: int) -> None:
    assert geohash._bits(score) == bits
    longitude, latitude = decode(score)
    assert abs(longitude) <= LONGITUDE_MAX
    assert abs(latitude) <= LATITUDE_MAX


def test_distances() -> None:
    quarter = geohash.EARTH_RADIUS * pi / 2
    assert isclose(distance(0, 0, 90, 0), quarter)
    assert isclose(distance(0, 0, 0, 45), quarter / 2)
    assert isclose(distance(-90, 0, 90, 0), 2 * quarter)
    assert isclose(distance(0, 85, 180, -85), 2 * quarter)
    assert distance(5, 5, 5, 5) == 0


def found_in_cells(region: Region, longitude: float, latitude: float) -> bool:
    hashed = encode(longitude, latitude)
    return any(first <= hashed < stop for first, stop in (cell.hashes() for cell in region.cells()))


@given(longitude=LONGITUDES, latitude=LATITUDES, east=NEAR, north=NEAR, radius=st.floats(0.1, 2000))
def test_a_circle_is_covered_by_its_cells(
    longitude: float, latitude: float, east: float, north: float, radius: float
) -> None:
    """What is within a small circle is in one of its cells."""
    other = max(-180.0, min(180.0, longitude + east)), max(-LATITUDE_MAX, min(LATITUDE_MAX, latitude + north))
    region = Region(longitude, latitude, False, 2 * radius, 2 * radius, radius)
    away = region.distance_to(*other)
    if away >= 0:
        assert away <= radius
        on_the_edge = abs(latitude) > LATITUDE_MAX - 0.1 or abs(longitude) > 179.9
        assert found_in_cells(region, *other) or on_the_edge
    assert len(region.cells()) <= 9


@given(longitude=LONGITUDES, latitude=LATITUDES, radius=st.one_of(st.floats(0, 1e12), st.just(inf)))
def test_any_region_has_cells(longitude: float, latitude: float, radius: float) -> None:
    for region in (
        Region(longitude, latitude, False, 2 * radius, 2 * radius, radius),
        Region(longitude, latitude, True, radius, radius / 2, radius),
    ):
        cells = region.cells()
        assert 1 <= len(cells) <= 9
        assert all(1 <= cell.steps <= geohash.STEPS_MAX for cell in cells)


def test_a_box() -> None:
    box = Region(0, 0, True, 200_000, 100_000, 111_804)
    assert box.distance_to(0.89, 0) > 0
    assert box.distance_to(0.91, 0) == -1
    assert box.distance_to(0, 0.44) > 0
    assert box.distance_to(0, 0.46) == -1
    assert box.distance_to(0.8, 0.4) > 0
