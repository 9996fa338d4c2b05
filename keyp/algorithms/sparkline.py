"""Curves drawn with characters, as LATENCY GRAPH shows them (https://redis.io/docs/latest/commands/latency-graph/)."""

from __future__ import annotations

from typing import Final

HEIGHTS: Final = "_o#"  # what a row can show, the lowest first; a column that goes on above it is a bar
BAR: Final = "|"


def sparkline(values: list[int], labels: list[str], columns: int, rows: int) -> str:
    """A filled curve of `values`, which are not empty, and below each its label from top to bottom.

    What exceeds `columns` goes on in another block, on the same scale, after an empty line. Every line ends in a line
    break, and has as many characters as the block has values.
    """
    low, span = min(values), max(values) - min(values) or 1
    steps = len(HEIGHTS) * rows
    heights = [min((value - low) * steps // span, steps - 1) for value in values]
    blocks = []
    for start in range(0, len(values), columns):
        stop = start + columns
        lines = [_row(heights[start:stop], base) for base in range(steps - len(HEIGHTS), -1, -len(HEIGHTS))]
        lines += ["", *_turned(labels[start:stop])]
        blocks.append("".join([line.ljust(len(heights[start:stop])) + "\n" for line in lines]))
    return "\n".join(blocks)


def _row(heights: list[int], base: int) -> str:
    """The row that shows heights from `base` on."""
    return "".join(
        [
            " " if height < base else HEIGHTS[height - base] if height - base < len(HEIGHTS) else BAR
            for height in heights
        ]
    )


def _turned(labels: list[str]) -> list[str]:
    """Lines in which the labels stand from top to bottom."""
    length = max(map(len, labels))
    return ["".join([label[number : number + 1] or " " for label in labels]) for number in range(length)]
