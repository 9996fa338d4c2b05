"""Places of the earth; replies and errors are in the rows of `geo.txt`."""

from __future__ import annotations

import pytest

from keyp.commands.geo import distance_text, position_reply
from keyp.resp.values import DoubleText
from tests.commands.conftest import Keyp


@pytest.mark.parametrize(
    ("metres", "text"),
    [(0.0, b"0.0000"), (0.00004, b"0.0000"), (0.00006, b"0.0001"), (1.0, b"1.0000"), (166274.1516, b"166274.1516"),
     (0.00025, b"0.0002"), (0.00035, b"0.0004"), (20000000.5, b"20000000.5000")],
)  # fmt: skip
def test_distances_have_four_decimals(metres: float, text: bytes) -> None:
    assert distance_text(metres) == text


@pytest.mark.parametrize(
    ("angle", "text"),
    [(0.0, b"0"), (-0.0, b"0"), (180.0, b"180"), (0.5, b"0.5"), (-1e-20, b"0"),
     (13.361389338970184, b"13.36138933897018433")],
)  # fmt: skip
def test_angles_have_up_to_seventeen_decimals(angle: float, text: bytes) -> None:
    reply = position_reply(angle, 1.0)
    assert isinstance(reply, list)
    assert isinstance(reply[0], DoubleText)
    assert reply[0].text == text


def test_scores_are_those_of_a_sorted_set(keyp: Keyp) -> None:
    assert keyp.answer("GEOADD k 13.361389 38.115556 Palermo 15.087269 37.502669 Catania") == 2
    assert keyp.answer("ZSCORE k Palermo") == 3479099956230698.0
    assert keyp.answer("GEOADD k XX CH 13 38 Palermo 1 1 new") == 1
    assert keyp.answer("ZRANGE k 0 -1") == [b"Palermo", b"Catania"]
    assert keyp.answer("ZREM k Palermo") == 1
    assert keyp.answer("GEOPOS k Palermo Catania")[0] != keyp.answer("GEOPOS k Catania")[0]


def test_a_wrong_place_among_others_changes_nothing(keyp: Keyp) -> None:
    assert keyp.answer("GEOADD k 1 1 a 200 1 b").startswith("ERR invalid longitude,latitude pair 200.000000,1.000000")
    assert keyp.answer("EXISTS k") == 0
