"""Searches beside a look at every place; replies and errors are in the rows of `geo.txt`."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from keyp.algorithms import geohash
from tests import wire
from tests.commands.conftest import Keyp
from tests.fakes import Lab

Places = dict[bytes, tuple[float, float]]


def places(random: Random, count: int) -> Places:
    """Some over all the earth, some close together; as they are stored."""
    found: Places = {}
    for index in range(count):
        if index % 2:
            position = random.uniform(10, 10.5), random.uniform(50, 50.5)
        else:
            position = random.uniform(-180, 180), random.uniform(-85, 85)
        found[b"p%04d" % index] = geohash.decode(float(geohash.encode(*position)))
    return found


def add(keyp: Keyp, found: Places) -> None:
    for member, (longitude, latitude) in found.items():
        assert keyp.run("GEOADD", "k", repr(longitude), repr(latitude), member) == 1


def nearest(found: Places, longitude: float, latitude: float, radius: float) -> list[bytes]:
    distances = {member: geohash.distance(longitude, latitude, *place) for member, place in found.items()}
    return sorted([member for member in found if distances[member] <= radius], key=lambda member: distances[member])


@pytest.mark.parametrize("seed", range(3))
def test_circles_beside_a_look_at_every_place(keyp: Keyp, seed: int) -> None:
    random = Random(seed)
    found = places(random, 400)
    add(keyp, found)
    for _ in range(60):
        longitude, latitude = random.uniform(-170, 170), random.uniform(-60, 60)
        if random.random() < 0.6:
            longitude, latitude = random.uniform(10, 10.5), random.uniform(50, 50.5)
        radius = 10 ** random.uniform(1, 6)
        expected = nearest(found, longitude, latitude, radius)
        circle = ["FROMLONLAT", repr(longitude), repr(latitude), "BYRADIUS", repr(radius), "m"]
        assert keyp.answer("GEOSEARCH k", *circle, "ASC") == expected
        assert keyp.answer("GEOSEARCH k", *circle, "COUNT", 3) == expected[:3]
        any_three = keyp.answer("GEOSEARCH k", *circle, "COUNT", 3, "ANY")
        assert len(any_three) == min(3, len(expected))
        assert set(any_three) <= set(expected)
        assert keyp.answer("GEOSEARCHSTORE d k", *circle, "STOREDIST") == len(expected)
        assert keyp.answer("ZRANGE d 0 -1") == expected
        side = repr(2 * radius)
        box = keyp.answer("GEOSEARCH k FROMLONLAT", repr(longitude), repr(latitude), "BYBOX", side, side, "m")
        assert set(expected) <= set(box)


def test_a_search_of_many_places_leaves_the_reactors_thread(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    client = lab.connect()
    for start in range(0, 2000, 200):
        client.call("GEOADD k " + " ".join(f"1.{index:04d} 1 p{index}" for index in range(start, start + 200)))
    before = lab.reader_threads.done
    assert len(wire.parse(client.call("GEOSEARCH k FROMLONLAT 1 1 BYRADIUS 1000 km"))) == 2000
    assert lab.reader_threads.done == before + 1
    assert len(wire.parse(client.call("GEOSEARCH k FROMMEMBER p5 BYRADIUS 30 m"))) == 5
    assert lab.reader_threads.done == before + 1
    lab.close()
