"""Searches for places: those of a sorted set that are within a circle or a box.

GEOSEARCH, GEORADIUS and GEORADIUSBYMEMBER say the same in different ways; a `_Search` is what they ask for.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

from keyp.algorithms import geohash
from keyp.algorithms.geohash import Region
from keyp.command.arguments import integer, real
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import DENYOOM, MOVABLEKEYS, Args, KeyBehindWord, KeySpec, key_at
from keyp.command.table import CommandTable
from keyp.commands.geo import distance_text, position_at, position_reply, unit
from keyp.commands.sortedsets import find_to_read, store_elements
from keyp.errors import COUNT_NOT_POSITIVE, SYNTAX, CommandError
from keyp.resp.values import Reply
from keyp.storage.types.sortedsets import SortedSet, ordered

GEO_SEARCH = CommandTable(group="geo", categories="geo")

# How a search is written: GEORADIUS, GEORADIUSBYMEMBER, GEOSEARCH.
AROUND_POSITION: Final = 0
AROUND_MEMBER: Final = 1
BY_WORDS: Final = 2

NOT_A_RADIUS: Final = "ERR need numeric radius"
NOT_A_WIDTH: Final = "ERR need numeric width"
NOT_A_HEIGHT: Final = "ERR need numeric height"
NEGATIVE_RADIUS: Final = "ERR radius cannot be negative"
NEGATIVE_BOX: Final = "ERR height or width cannot be negative"
NO_SUCH_MEMBER: Final = "ERR could not decode requested zset member"
ANY_WITHOUT_COUNT: Final = "ERR the ANY argument requires COUNT argument"
STORED_WITH: Final = "is not compatible with WITHDIST, WITHHASH and WITHCOORD options"

SLICE: Final = 512  # elements that are read in one go
WORK: Final = 4  # times as much as a look at an element: to see whether a place is within the region

SEARCHED: Final = "O(N+M*log(M)) with N the number of places around the region and M the number of those within"

STORED_KEYS: Final = (b"STORE", b"STOREDIST")


class _Found:
    """A place within the region; `distance` is in metres, from its middle."""

    def __init__(self, member: bytes, score: float, distance: float, longitude: float, latitude: float) -> None:
        self.member = member
        self.score = score
        self.distance = distance
        self.longitude = longitude
        self.latitude = latitude


class _Search:
    """What a command asks for, read from its arguments. Raises Redis's errors, in its order.

    The source stands at `at`. `style` says how the search is written, `may_store` whether GEORADIUS takes STORE;
    `target` is where GEOSEARCHSTORE stores what is found, None for commands that do not.
    """

    def __init__(
        self, context: ReadContext, args: Args, at: int, style: int, may_store: bool = False,
        target: bytes | None = None,
    ) -> None:  # fmt: skip
        self.args = args
        self.style = style
        self.may_store = may_store
        self.by_search_store = target is not None
        self.target = target
        self.zset = find_to_read(context, args[at])
        self.longitude = self.latitude = 0.0
        self.from_member = self.from_position = self.by_radius = self.by_box = False
        self.width = self.height = self.radius = 0.0  # in metres
        self.metres = 1.0  # of the unit
        self.descending = self.ascending = False
        self.count = 0
        self.any = self.with_distance = self.with_hash = self.with_position = self.store_distance = False
        place = at + 1
        if style == AROUND_POSITION:
            self.longitude, self.latitude = position_at(args, place)
            self._take_radius(place + 2)
            place += 4
        elif style == AROUND_MEMBER:
            if self.zset is not None:
                self._take_member(self.zset, args[place])
                self._take_radius(place + 1)
            place += 3
        while place < len(args):
            place += 1 + self._take_word(args[place].upper(), place + 1)
        self._check()

    def _take_word(self, word: bytes, at: int) -> int:
        """Takes an option whose operands stand at `at`; how many they are."""
        if word == b"WITHDIST":
            self.with_distance = True
        elif word == b"WITHHASH":
            self.with_hash = True
        elif word == b"WITHCOORD":
            self.with_position = True
        elif word == b"ANY":
            self.any = True
        elif word in (b"ASC", b"DESC"):
            self.ascending, self.descending = word == b"ASC", word == b"DESC"
        elif word == b"COUNT" and at < len(self.args):
            self.count = integer(self.args[at])
            if self.count <= 0:
                raise CommandError(COUNT_NOT_POSITIVE)
            return 1
        elif word in STORED_KEYS and self.may_store and at < len(self.args):
            self.target = self.args[at]
            self.store_distance = word == b"STOREDIST"
            return 1
        elif word == b"STOREDIST" and self.by_search_store:
            self.store_distance = True
        elif self.style == BY_WORDS:
            return self._take_region(word, at)
        else:
            raise CommandError(SYNTAX)
        return 0

    def _take_region(self, word: bytes, at: int) -> int:
        """Takes a word that says where to search; how many operands it has."""
        args, left = self.args, len(self.args) - at
        if word == b"FROMMEMBER" and left >= 1 and not self.from_position:
            if self.zset is not None:
                self._take_member(self.zset, args[at])
            self.from_member = True
            return 1
        if word == b"FROMLONLAT" and left >= 2 and not self.from_member:
            self.longitude, self.latitude = position_at(args, at)
            self.from_position = True
            return 2
        if word == b"BYRADIUS" and left >= 2 and not self.by_box:
            self._take_radius(at)
            self.by_radius = True
            return 2
        if word == b"BYBOX" and left >= 3 and not self.by_radius:
            self._take_box(at)
            self.by_box = True
            return 3
        raise CommandError(SYNTAX)

    def _take_member(self, zset: SortedSet, member: bytes) -> None:
        score = zset.score(member)
        if score is None:
            raise CommandError(NO_SUCH_MEMBER)
        self.longitude, self.latitude = geohash.decode(score)

    def _take_radius(self, at: int) -> None:
        radius = real(self.args[at], NOT_A_RADIUS)
        if radius < 0:
            raise CommandError(NEGATIVE_RADIUS)
        self.metres = unit(self.args[at + 1])
        self.radius = radius * self.metres
        self.width = self.height = 2 * self.radius

    def _take_box(self, at: int) -> None:
        width, height = real(self.args[at], NOT_A_WIDTH), real(self.args[at + 1], NOT_A_HEIGHT)
        if width < 0 or height < 0:
            raise CommandError(NEGATIVE_BOX)
        self.metres = unit(self.args[at + 2])
        self.width, self.height = width * self.metres, height * self.metres
        self.radius = sqrt((width / 2) * (width / 2) + (height / 2) * (height / 2)) * self.metres

    def _check(self) -> None:
        """What does not fit together is an error."""
        if self.target is not None and (self.with_distance or self.with_hash or self.with_position):
            command = "GEOSEARCHSTORE" if self.by_search_store else "STORE option in GEORADIUS"
            raise CommandError(f"ERR {command} {STORED_WITH}")
        if self.style == BY_WORDS:
            command = self.args[0].decode("latin-1")
            if not (self.from_member or self.from_position):
                raise CommandError(f"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {command}")
            if not (self.by_radius or self.by_box):
                raise CommandError(f"ERR exactly one of BYRADIUS and BYBOX can be specified for {command}")
        if self.any and not self.count:
            raise CommandError(ANY_WITHOUT_COUNT)

    def found(self, context: ReadContext) -> list[_Found]:
        """The places that are asked for, in the order that is asked for."""
        zset = self.zset
        if zset is None:
            return []
        found = self._within(context, zset)
        if self.ascending or self.descending or (self.count and not self.any):
            found.sort(key=_distance, reverse=self.descending)
        return found[: self.count] if self.count else found

    def _within(self, context: ReadContext, zset: SortedSet) -> list[_Found]:
        """The places in the region, cell by cell; only so many as are wanted where any will do."""
        region = Region(self.longitude, self.latitude, self.by_box, self.width, self.height, self.radius)
        most = self.count if self.any else 0
        found: list[_Found] = []
        looked_at = 0
        for cell in region.cells():
            first, stop = cell.hashes()
            low, high = ordered(float(first)), ordered(float(stop))
            more = True
            while more:
                part = zset.between(low, high, SLICE)
                looked_at += len(part)
                context.expect(WORK * looked_at)
                for member, score in part:
                    longitude, latitude = geohash.decode(score)
                    distance = region.distance_to(longitude, latitude)
                    if distance >= 0:
                        found.append(_Found(member, score, distance, longitude, latitude))
                        if len(found) == most:
                            return found
                more = len(part) == SLICE
                if more:
                    low = zset.place(*part[-1]) + b"\0"
        return found

    def reply(self, context: ReadContext) -> Reply:
        """The members, or arrays of what is wanted of each."""
        found = self.found(context)
        if not (self.with_distance or self.with_hash or self.with_position):
            return [place.member for place in found]
        return [self._described(place) for place in found]

    def _described(self, place: _Found) -> list[Reply]:
        described: list[Reply] = [place.member]
        if self.with_distance:
            described.append(distance_text(place.distance / self.metres))
        if self.with_hash:
            described.append(int(place.score))
        if self.with_position:
            described.append(position_reply(place.longitude, place.latitude))
        return described

    def store(self, context: WriteContext, target: bytes) -> Reply:
        """Makes what is found the value of a key, in place of whatever it held; how many places they are."""
        event = "geosearchstore" if self.style == BY_WORDS else "georadiusstore"
        elements = [
            (place.member, place.distance / self.metres if self.store_distance else place.score)
            for place in self.found(context)
        ]
        return store_elements(context, target, elements, event, len(elements))


def _distance(place: _Found) -> float:
    return place.distance


def _stored_keys(begin: int) -> tuple[KeySpec, ...]:
    """The keys of GEORADIUS and GEORADIUSBYMEMBER, whose options begin at `begin`."""
    return (
        *key_at(1, "RO access"),
        *[KeyBehindWord(word, begin, "OW update variable_flags", STORED_KEYS) for word in STORED_KEYS],
    )


@GEO_SEARCH.read(
    "GEOSEARCH",
    arity=-7,
    keys=key_at(1, "RO access"),
    since="6.2.0",
    complexity=SEARCHED,
    syntax="key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI>"
    " | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
    summary="Finds places within a circle or a box.",
)
def geosearch(context: ReadContext, args: Args) -> Reply:
    """Replies with members, or with arrays of a member and what is wanted of it."""
    return _Search(context, args, 1, BY_WORDS).reply(context)


@GEO_SEARCH.write(
    "GEOSEARCHSTORE",
    arity=-8,
    keys=key_at(1, "OW update") + key_at(2, "RO access"),
    flags=DENYOOM,
    since="6.2.0",
    complexity=SEARCHED,
    syntax="destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius"
    " <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
    summary="Makes the places within a circle or a box the value of a key.",
)
def geosearchstore(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of places stored; of none the key is removed."""
    return _Search(context, args, 2, BY_WORDS, target=args[1]).store(context, args[1])


def _radius(context: WriteContext, args: Args, style: int) -> Reply:
    """What is found, or how many places have been stored."""
    wanted = _Search(context, args, 1, style, may_store=True)
    return wanted.reply(context) if wanted.target is None else wanted.store(context, wanted.target)


@GEO_SEARCH.write(
    "GEORADIUS",
    arity=-6,
    keys=_stored_keys(6),
    flags=DENYOOM | MOVABLEKEYS,
    since="3.2.0",
    complexity=SEARCHED,
    syntax="key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]]"
    " [ASC | DESC] [STORE key | STOREDIST key]",
    summary="Finds places within a circle, and may make them the value of a key; GEOSEARCH is its newer form.",
)
def georadius(context: WriteContext, args: Args) -> Reply:
    """Replies as GEOSEARCH, with STORE or STOREDIST as GEOSEARCHSTORE."""
    return _radius(context, args, AROUND_POSITION)


@GEO_SEARCH.read(
    "GEORADIUS_RO",
    arity=-6,
    keys=key_at(1, "RO access"),
    since="3.2.10",
    complexity=SEARCHED,
    syntax="key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]]"
    " [ASC | DESC]",
    summary="Finds places within a circle; GEOSEARCH is its newer form.",
)
def georadius_ro(context: ReadContext, args: Args) -> Reply:
    """Replies as GEOSEARCH."""
    return _Search(context, args, 1, AROUND_POSITION).reply(context)


@GEO_SEARCH.write(
    "GEORADIUSBYMEMBER",
    arity=-5,
    keys=_stored_keys(5),
    flags=DENYOOM | MOVABLEKEYS,
    since="3.2.0",
    complexity=SEARCHED,
    syntax="key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]"
    " [STORE key | STOREDIST key]",
    summary="Finds places around another one, and may make them the value of a key; GEOSEARCH is its newer form.",
)
def georadiusbymember(context: WriteContext, args: Args) -> Reply:
    """Replies as GEOSEARCH, with STORE or STOREDIST as GEOSEARCHSTORE."""
    return _radius(context, args, AROUND_MEMBER)


@GEO_SEARCH.read(
    "GEORADIUSBYMEMBER_RO",
    arity=-5,
    keys=key_at(1, "RO access"),
    since="3.2.10",
    complexity=SEARCHED,
    syntax="key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
    summary="Finds places around another one; GEOSEARCH is its newer form.",
)
def georadiusbymember_ro(context: ReadContext, args: Args) -> Reply:
    """Replies as GEOSEARCH."""
    return _Search(context, args, 1, AROUND_MEMBER).reply(context)
