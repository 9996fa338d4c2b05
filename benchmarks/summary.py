"""The statistics of a row: medians of the servers, and how far apart they are, round by round.

A ratio always says how many times better Keyp did: of rates Keyp's by the other's, of times and sizes the other's by
Keyp's. Above 1 Keyp did better, whatever the unit. Both servers of a ratio were measured within the same minute; the
median of those ratios is steadier than the ratio of two medians, because the machine's speed drifts.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks.results import Row


@dataclass(frozen=True)
class Comparison:
    """Medians of both servers; the median, least and greatest of the ratios of so many rounds."""

    own: float
    other: float
    ratio: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Spread:
    """The median, least and greatest of what one server did."""

    middle: float
    low: float
    high: float


def compare(row: Row, own: str, other: str) -> Comparison | None:
    """Compares two servers over the rounds that both of them have ended; None where there are none."""
    pairs = [(values[own], values[other]) for values in row.rounds if own in values and other in values]
    if not pairs:
        return None
    ratios = [_ratio(row, *pair) for pair in pairs]
    owns, others = zip(*pairs, strict=True)
    return Comparison(median(owns), median(others), median(ratios), min(ratios), max(ratios), len(pairs))


def spread(row: Row, server: str) -> Spread | None:
    """What a server did over all rounds; None where it has ended none."""
    values = [values[server] for values in row.rounds if server in values]
    return Spread(median(values), min(values), max(values)) if values else None


def _ratio(row: Row, own: float, other: float) -> float:
    upper, lower = (own, other) if row.more_is_better else (other, own)
    return upper / lower if lower else float("inf")
