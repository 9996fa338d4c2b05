"""Curves of characters: heights, labels, blocks. The first two are what redis-server 7.0.15 draws."""

from __future__ import annotations

from keyp.algorithms.sparkline import sparkline


def test_four_values() -> None:
    assert sparkline([5, 50, 20, 100], ["4s", "3s", "2s", "1s"], 80, 4) == "   #\n   |\n # |\n_|o|\n    \n4321\nssss\n"


def test_one_value() -> None:
    assert sparkline([20], ["0s"], 80, 4) == " \n \n \n_\n \n0\ns\n"


def test_labels_of_several_lengths() -> None:
    assert sparkline([1, 2], ["12m", "3s"], 80, 1) == "_#\n  \n13\n2s\nm \n"


def test_every_height() -> None:
    assert sparkline(list(range(7)), [""] * 7, 80, 2) == "   _o##\n_o#||||\n       \n"


def test_more_values_than_columns() -> None:
    """They go on in another block, on the same scale."""
    assert sparkline([0, 3, 3], ["1s", "2s", "3s"], 2, 1) == "_#\n  \n12\nss\n\n#\n \n3\ns\n"
