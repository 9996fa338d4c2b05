"""Trimming of streams: entries are removed from the front, whole runs of them by their counts.

Few entries are removed at once. Of many only the stream's first id is moved, and they are left to the sweeper. To find
where to cut, runs are counted from the end of the stream that is nearer to it.
"""

from __future__ import annotations

from typing import Final

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb.errors import Damaged
from keyp.storage.types.stream_ids import ZERO, milliseconds_of
from keyp.storage.types.stream_runs import Run
from keyp.storage.types.streams import Stream

REMOVED_AT_ONCE: Final = 512  # more entries, or runs, than this are left to the sweeper


class Cut:
    """Where a stream is cut: `removed` entries go with the runs before `run`, of which some entries may go as well.

    `run` is None where nothing is left. Of the runs that go `last_gone` is the last, None where there is none, and
    `gone` are all, unless they are too many or were not looked at.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self.removed = 0
        self.last_gone: Run | None = None
        self.gone: list[Run] | None = []

    def take(self, run: Run) -> None:
        """The next run goes."""
        self.removed += run.live
        self.last_gone = run
        if self.gone is not None:
            self.gone.append(run)
            if len(self.gone) > REMOVED_AT_ONCE:
                self.gone = None


def trim(stream: Stream, most: int, least: bytes, whole_runs: bool, limit: int) -> int:
    """Removes entries from the front until there are at most `most`, and those with ids below `least`; how many.

    With `whole_runs` it leaves those of a run that would go in part. It stops before a run whose entries would be
    more than `limit` with what it has removed, 0 for none.
    """
    if stream.count <= most and stream.first >= least:
        return 0
    if whole_runs and _keeps_first_run(stream, most, least):
        return 0  # at no cost where each addition trims
    if (most == 0 or least > stream.last) and not limit and stream.count > REMOVED_AT_ONCE:
        return _remove_all(stream)
    from_back = not limit and stream.count > REMOVED_AT_ONCE and _is_nearer_to_the_back(stream, most, least)
    cut = _cut_from_back(stream, most, least) if from_back else _cut_from_front(stream, most, least, limit)
    bound = cut.last_gone.last + b"\0" if cut.last_gone else stream.first
    removed = cut.removed
    stream.head_live = 0
    run = cut.run
    if run is not None:
        left = stream.count - removed
        if not whole_runs and not _stays(run, left, removed, most, least, limit):
            going, bound_in_run = _part_to_trim(stream, run, left - most, least, removed)
            if going:
                bound = bound_in_run
                removed += going
                run.live -= going
                stream.put_run(run)
        if not run.is_open:
            stream.head_last, stream.head_live = run.last, run.live
    if removed:
        _remove_before(stream, bound, removed, cut)
    return removed


def _keeps_first_run(stream: Stream, most: int, least: bytes) -> bool:
    """Whether it is known that trimming would remove a part of the first run only, or nothing."""
    run = stream.open_run
    if run.live == stream.count:
        return most > 0 and run.last >= least
    return stream.head_live > 0 and stream.count - stream.head_live < most and stream.head_last >= least


def _is_nearer_to_the_back(stream: Stream, most: int, least: bytes) -> bool:
    """Whether more entries go than stay; of ids it is guessed by their times."""
    if least == ZERO:
        return most < stream.count // 2
    cut = milliseconds_of(least)
    return cut - milliseconds_of(stream.first) > milliseconds_of(stream.last) - cut


def _cut_from_front(stream: Stream, most: int, least: bytes, limit: int) -> Cut:
    cut = Cut()
    for run in stream.runs():
        left = stream.count - cut.removed
        if _stays(run, left, cut.removed, most, least, limit) or not (left - run.live >= most or run.last < least):
            cut.run = run
            break
        cut.take(run)
    return cut


def _stays(run: Run, left: int, removed: int, most: int, least: bytes, limit: int) -> bool:
    """Whether a run stays as it is; `left` are the entries that it begins."""
    return (left <= most and least == ZERO) or bool(limit and removed + run.live > limit)


def _cut_from_back(stream: Stream, most: int, least: bytes) -> Cut:
    cut = Cut()
    cut.gone = None
    left = 0
    for run in stream.runs_back():
        if left >= most or run.last < least:
            cut.last_gone = run
            break
        left += run.live
        cut.run = run
    cut.removed = stream.count - left
    if cut.removed and cut.last_gone is None:
        raise Damaged(stream.where())
    return cut


def _part_to_trim(stream: Stream, run: Run, excess: int, least: bytes, removed: int) -> tuple[int, bytes]:
    """How many of the first entries of a run go, which are not all: `excess`, or those below `least`; and a bound.

    There is none, but the empty id, where with the `removed` ones they are so few that they are removed at once.
    """
    start = max(run.start, stream.first)
    if least == ZERO and removed + excess <= REMOVED_AT_ONCE:
        return excess, b""
    places = stream.places(stream.entries_section, start, excess if least == ZERO else run.live)
    if least != ZERO:
        places = [place for place in places if place < least]
    return len(places), places[-1] + b"\0" if places else b""


def _remove_before(stream: Stream, bound: bytes, removed: int, cut: Cut) -> None:
    """Removes `removed` entries, which are all those before `bound`, and the runs that are empty now."""
    keys = stream.keys
    assert isinstance(keys, WritableKeyspace)
    if cut.gone is not None:
        for run in cut.gone:
            run.live = 0
            stream.put_run(run)
    elif cut.last_gone is not None:
        keys.discard_range(stream.number, stream.runs_section, cut.last_gone.start + b"\0")
    stream.count -= removed
    if not stream.count:
        stream.open_run.live = 0
    if removed <= REMOVED_AT_ONCE:
        _remove_first(stream, removed)
    else:
        keys.discard_range(stream.number, stream.entries_section, bound)
        stream.find_first(bound)


def _remove_first(stream: Stream, removed: int) -> None:
    """Removes the first entries, of which there are so many; `count` is what is left already."""
    wanted = removed + 1 if stream.count else removed
    places = stream.places(stream.entries_section, stream.first, wanted)
    if len(places) != wanted or places[0] != stream.first:
        raise Damaged(stream.where())
    for place in places[:removed]:
        stream.delete(stream.entries_section + place)
    stream.first = ZERO
    if stream.count:
        stream.first = places[removed]
        stream.must_get(stream.entries_section + stream.first)


def _remove_all(stream: Stream) -> int:
    """Leaves all entries to the sweeper; how many they are."""
    keys = stream.keys
    assert isinstance(keys, WritableKeyspace)
    removed = stream.count
    for section in (stream.entries_section, stream.runs_section):
        keys.discard_range(stream.number, section, stream.last + b"\0")
    stream.count = stream.open_run.live = stream.head_live = 0
    stream.first = ZERO
    return removed
