"""Distances and angles as texts."""

from __future__ import annotations

import pytest

from keyp.commands.geo import distance_text, position_reply
from keyp.resp.values import DoubleText


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
