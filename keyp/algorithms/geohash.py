"""Places on the earth as numbers of 52 bits, as Redis keeps them in scores, and the geometry of searching them.

A position is cut into a row among 2**steps rows from south to north and a column among as many from west to east; its
geohash has the row's bits in its even places and the column's in the odd ones. Places that are close have mostly
hashes that are close, so a region is searched as a few cells of a coarser grid, each a range of hashes.

The order of arithmetic is Redis's, because the last digits show. Lengths are in metres, angles in degrees.
"""

from __future__ import annotations

from math import asin, cos, fabs, inf, isinf, nan, pi, sin, sqrt
from typing import Final

LONGITUDE_MAX: Final = 180.0
LATITUDE_MAX: Final = 85.05112878  # limit of the Mercator projection: nothing nearer to the poles can be stored
POLE: Final = 90.0

STEPS_MAX: Final = 26
HASH_BITS: Final = 52

EARTH_RADIUS: Final = 6372797.560856
MERCATOR_MAX: Final = 20037726.37
DEGREE: Final = pi / 180.0

ALPHABET: Final = b"0123456789bcdefghjkmnpqrstuvwxyz"
TEXT_LENGTH: Final = 11

_INT64_LIMIT: Final = float(2**63)


class Cell:
    """One cell of the grid of 2**`steps` rows and columns."""

    def __init__(self, row: int, column: int, steps: int) -> None:
        self.row = row
        self.column = column
        self.steps = steps

    def hashes(self) -> tuple[int, int]:
        """The first hash of its places, and the first behind them."""
        bits = interleave(self.row, self.column)
        shift = HASH_BITS - 2 * self.steps
        return bits << shift, (bits + 1) << shift

    def south(self) -> float:
        """The latitude at which it begins."""
        return _edge(self.row, self.steps, LATITUDE_MAX)

    def north(self) -> float:
        """The latitude at which it ends."""
        return _edge(self.row + 1, self.steps, LATITUDE_MAX)

    def west(self) -> float:
        """The longitude at which it begins."""
        return _edge(self.column, self.steps, LONGITUDE_MAX)

    def east(self) -> float:
        """The longitude at which it ends."""
        return _edge(self.column + 1, self.steps, LONGITUDE_MAX)

    def neighbour(self, rows: int, columns: int) -> Cell:
        """The cell so many rows to the north and columns to the east, around the earth where the grid ends."""
        last = (1 << self.steps) - 1
        row = (self.row + rows) & last if rows else self.row
        column = (self.column + columns) & last if columns else self.column
        return Cell(row, column, self.steps)


def cell_at(longitude: float, latitude: float, steps: int, latitude_max: float = LATITUDE_MAX) -> Cell:
    """The cell that holds a position; the grid reaches from -`latitude_max` to `latitude_max`."""
    cells = float(1 << steps)
    row = (latitude + latitude_max) / (latitude_max + latitude_max) * cells
    column = (longitude + LONGITUDE_MAX) / (LONGITUDE_MAX + LONGITUDE_MAX) * cells
    return Cell(int(row), int(column), steps)


def _edge(index: int, steps: int, limit: float) -> float:
    return -limit + (index * 1.0 / (1 << steps)) * (limit + limit)


def interleave(row: int, column: int) -> int:
    """The bits of both, of 32 each: the row's in the even places."""
    return _spread(row) | _spread(column) << 1


def _spread(bits: int) -> int:
    bits = (bits | bits << 16) & 0x0000FFFF0000FFFF
    bits = (bits | bits << 8) & 0x00FF00FF00FF00FF
    bits = (bits | bits << 4) & 0x0F0F0F0F0F0F0F0F
    bits = (bits | bits << 2) & 0x3333333333333333
    return (bits | bits << 1) & 0x5555555555555555


def _gather(bits: int) -> int:
    """The bits in the even places, side by side."""
    bits &= 0x5555555555555555
    bits = (bits | bits >> 1) & 0x3333333333333333
    bits = (bits | bits >> 2) & 0x0F0F0F0F0F0F0F0F
    bits = (bits | bits >> 4) & 0x00FF00FF00FF00FF
    bits = (bits | bits >> 8) & 0x0000FFFF0000FFFF
    return (bits | bits >> 16) & 0x00000000FFFFFFFF


def encode(longitude: float, latitude: float) -> int:
    """The geohash of a position within the limits."""
    cell = cell_at(longitude, latitude, STEPS_MAX)
    return interleave(cell.row, cell.column)


def decode(score: float) -> tuple[float, float]:
    """Longitude and latitude of the middle of the cell that a score stands for, whatever the score is."""
    bits = _bits(score)
    cell = Cell(_gather(bits), _gather(bits >> 1), STEPS_MAX)
    longitude = (cell.west() + cell.east()) / 2
    latitude = (cell.south() + cell.north()) / 2
    return _within(longitude, LONGITUDE_MAX), _within(latitude, LATITUDE_MAX)


def _within(angle: float, limit: float) -> float:
    return max(-limit, min(limit, angle))


def _bits(score: float) -> int:
    """The 64 bits that Redis makes of a score, also of one that is no geohash, on x86-64."""
    if 0 <= score < _INT64_LIMIT:
        return int(score)
    if score >= _INT64_LIMIT:
        return int(score) if score < 2 * _INT64_LIMIT else 0
    return int(score) % (1 << 64) if score >= -_INT64_LIMIT else 1 << 63


def text(longitude: float, latitude: float) -> bytes:
    """The standard geohash of a position, of eleven letters; 52 bits are not enough for the last one, which is 0."""
    cell = cell_at(longitude, latitude, STEPS_MAX, POLE)
    bits = interleave(cell.row, cell.column)
    letters = [ALPHABET[bits >> (HASH_BITS - 5 * place) & 31] for place in range(1, TEXT_LENGTH)]
    return bytes(letters) + ALPHABET[:1]


def distance(longitude: float, latitude: float, other_longitude: float, other_latitude: float) -> float:
    """Between two positions along a great circle of a round earth (the haversine formula)."""
    v = sin((other_longitude * DEGREE - longitude * DEGREE) / 2)
    if v == 0.0:
        return latitude_distance(latitude, other_latitude)
    from_equator, other_from_equator = latitude * DEGREE, other_latitude * DEGREE
    u = sin((other_from_equator - from_equator) / 2)
    square = u * u + cos(from_equator) * cos(other_from_equator) * v * v
    return 2.0 * EARTH_RADIUS * asin(min(1.0, sqrt(square)))


def latitude_distance(latitude: float, other_latitude: float) -> float:
    """Between two positions of the same longitude."""
    return EARTH_RADIUS * fabs(other_latitude * DEGREE - latitude * DEGREE)


class Region:
    """A circle, or where `is_box` a box in which height and width are measured along its middle, around a position.

    `radius` is the circle's, or what reaches from the middle to the corners; a circle's height and width are twice it.
    """

    def __init__(
        self, longitude: float, latitude: float, is_box: bool, width: float, height: float, radius: float
    ) -> None:
        self.longitude = longitude
        self.latitude = latitude
        self.is_box = is_box
        self.width = width
        self.height = height
        self.radius = radius

    def distance_to(self, longitude: float, latitude: float) -> float:
        """How far a position is from the middle; -1 where it is outside."""
        if self.is_box:
            if latitude_distance(latitude, self.latitude) > self.height / 2:
                return -1.0
            if distance(longitude, latitude, self.longitude, latitude) > self.width / 2:
                return -1.0
            return distance(self.longitude, self.latitude, longitude, latitude)
        away = distance(self.longitude, self.latitude, longitude, latitude)
        return -1.0 if away > self.radius else away

    def cells(self) -> list[Cell]:
        """Cells that cover the region, in the order in which Redis searches them: the middle, then around."""
        steps = self._steps()
        middle = cell_at(self.longitude, self.latitude, steps)
        west, south, east, north = self._bounds()
        if steps > 1 and (
            middle.neighbour(1, 0).north() < north
            or middle.neighbour(-1, 0).south() > south
            or middle.neighbour(0, 1).east() < east
            or middle.neighbour(0, -1).west() > west
        ):
            steps -= 1
            middle = cell_at(self.longitude, self.latitude, steps)
        is_fine = steps >= 2
        # A side that the middle cell reaches beyond the region needs no neighbours.
        no_south, no_north = is_fine and middle.south() < south, is_fine and middle.north() > north
        no_west, no_east = is_fine and middle.west() < west, is_fine and middle.east() > east
        found = [middle]
        for rows, columns in _AROUND:
            if not (
                (rows < 0 and no_south) or (rows > 0 and no_north) or (columns < 0 and no_west)
                or (columns > 0 and no_east)
            ):  # fmt: skip
                cell, last = middle.neighbour(rows, columns), found[-1]
                if len(found) == 1 or (cell.row, cell.column) != (last.row, last.column):
                    found.append(cell)
        return found

    def _steps(self) -> int:
        """How fine a grid is whose cells are about as large as the region."""
        if self.radius == 0:
            return STEPS_MAX
        steps, reach = 1, self.radius
        while reach < MERCATOR_MAX:
            reach *= 2
            steps += 1
        steps -= 2
        # Towards the poles the cells are narrow.
        if fabs(self.latitude) > 66:
            steps -= 1
        if fabs(self.latitude) > 80:
            steps -= 1
        return max(1, min(STEPS_MAX, steps))

    def _bounds(self) -> tuple[float, float, float, float]:
        """Where the region ends in the west, south, east and north."""
        height, width = self.height / 2, self.width / 2
        rows = height / EARTH_RADIUS / DEGREE
        nearest_pole = self.latitude - rows if self.latitude < 0 else self.latitude + rows
        columns = _quotient(width / EARTH_RADIUS, _cosine(nearest_pole * DEGREE)) / DEGREE
        return self.longitude - columns, self.latitude - rows, self.longitude + columns, self.latitude + rows


# Rows to the north and columns to the east, in the order of the search.
_AROUND: Final = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


def _cosine(angle: float) -> float:
    return nan if isinf(angle) else cos(angle)


def _quotient(one: float, other: float) -> float:
    return one / other if other else inf
