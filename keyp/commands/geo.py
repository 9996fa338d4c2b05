"""Commands on places of the earth: sorted sets whose scores are geohashes (`geohash.py`).

A place is stored as its geohash, so it comes back as the middle of a cell of some 60 centimetres. Distances are those
on a round earth. A search looks at the cells that cover its region and no further.
"""

from __future__ import annotations

from typing import Final

from keyp.algorithms import geohash
from keyp.algorithms.geohash import LATITUDE_MAX, LONGITUDE_MAX
from keyp.command.arguments import real
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import DENYOOM, Args, key_at
from keyp.command.table import CommandTable
from keyp.commands.sortedsets import COUNT_CHANGED, IF_ABSENT, IF_PRESENT, OPTIONS, add_elements
from keyp.errors import SYNTAX, CommandError
from keyp.resp.values import NULL_ARRAY, DoubleText, Reply
from keyp.storage.types import sortedsets
from keyp.storage.types.sortedsets import SortedSet

GEO = CommandTable(group="geo", categories="geo")

UNITS: Final = {b"M": 1.0, b"KM": 1000.0, b"FT": 0.3048, b"MI": 1609.34}

UNKNOWN_UNIT: Final = "ERR unsupported unit provided. please use M, KM, FT, MI"

ADD_OPTIONS: Final = IF_ABSENT | IF_PRESENT | COUNT_CHANGED


def position_at(args: Args, at: int) -> tuple[float, float]:
    """The longitude and latitude that stand at `at`. Raises Redis's error where there is no such place."""
    longitude, latitude = real(args[at]), real(args[at + 1])
    if not (-LONGITUDE_MAX <= longitude <= LONGITUDE_MAX and -LATITUDE_MAX <= latitude <= LATITUDE_MAX):
        raise CommandError(f"ERR invalid longitude,latitude pair {longitude:f},{latitude:f}")
    return longitude, latitude


def unit(word: bytes) -> float:
    """How many metres a unit of length has."""
    metres = UNITS.get(word.upper())
    if metres is None:
        raise CommandError(UNKNOWN_UNIT)
    return metres


def distance_text(distance: float) -> bytes:
    """A length with four decimals."""
    whole, decimals = divmod(round(distance * 10000.0), 10000)
    return b"%d.%04d" % (whole, decimals)


def position_reply(longitude: float, latitude: float) -> Reply:
    """A position as two numbers of up to seventeen decimals."""
    return [DoubleText(_decimal(longitude)), DoubleText(_decimal(latitude))]


def _decimal(angle: float) -> bytes:
    digits = (b"%.17f" % angle).rstrip(b"0").rstrip(b".")
    return b"0" if digits == b"-0" else digits


@GEO.write(
    "GEOADD",
    arity=-5,
    keys=key_at(1, "RW update"),
    flags=DENYOOM,
    since="3.2.0",
    complexity="O(log(N)) for each place, with N the number of elements in the sorted set",
    syntax="key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
    summary="Adds places to a sorted set, or changes where they are.",
)
def geoadd(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of places added, with CH those changed too."""
    options, at = 0, 2
    while at < len(args):
        option = OPTIONS.get(args[at].upper(), 0) & ADD_OPTIONS
        if not option:
            break
        options |= option
        at += 1
    if at == len(args) or (len(args) - at) % 3 or (options & IF_ABSENT and options & IF_PRESENT):
        raise CommandError(SYNTAX)
    elements = [
        (args[place + 2], float(geohash.encode(*position_at(args, place)))) for place in range(at, len(args), 3)
    ]
    return add_elements(context, args[1], options, elements)


def _positions(zset: SortedSet | None, members: list[bytes]) -> list[tuple[float, float] | None]:
    """Longitude and latitude of each member, None for those that are not there."""
    found: list[tuple[float, float] | None] = []
    for member in members:
        score = None if zset is None else zset.score(member)
        found.append(None if score is None else geohash.decode(score))
    return found


@GEO.read(
    "GEOPOS",
    arity=-2,
    keys=key_at(1, "RO access"),
    since="3.2.0",
    complexity="O(1) for each member",
    syntax="key [member [member ...]]",
    summary="Returns the positions of places.",
)
def geopos(context: ReadContext, args: Args) -> Reply:
    """Replies with longitude and latitude of each member, the null array for one that is not there."""
    zset = sortedsets.find(context.keys, args[1])
    return [NULL_ARRAY if place is None else position_reply(*place) for place in _positions(zset, args[2:])]


@GEO.read(
    "GEOHASH",
    arity=-2,
    keys=key_at(1, "RO access"),
    since="3.2.0",
    complexity="O(1) for each member",
    syntax="key [member [member ...]]",
    summary="Returns the standard geohashes of places.",
)
def geohash_(context: ReadContext, args: Args) -> Reply:
    """Replies with eleven letters for each member, null for one that is not there."""
    zset = sortedsets.find(context.keys, args[1])
    return [None if place is None else geohash.text(*place) for place in _positions(zset, args[2:])]


@GEO.read(
    "GEODIST",
    arity=-4,
    keys=key_at(1, "RO access"),
    since="3.2.0",
    syntax="key member1 member2 [M | KM | FT | MI]",
    summary="Returns the distance between two places.",
)
def geodist(context: ReadContext, args: Args) -> Reply:
    """Replies with the distance, in metres where no unit is given; null where one of them is not there."""
    if len(args) > 5:
        raise CommandError(SYNTAX)
    metres = unit(args[4]) if len(args) == 5 else 1.0
    zset = sortedsets.find(context.keys, args[1])
    one, other = _positions(zset, args[2:4])
    if one is None or other is None:
        return None
    return distance_text(geohash.distance(one[0], one[1], other[0], other[1]) / metres)
