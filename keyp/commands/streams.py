"""Commands on streams: entries, each with an id and fields with values, in the order of the ids."""

from __future__ import annotations

from typing import Final

from keyp import events
from keyp.command.arguments import INT64_MAX, integer
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import DENYOOM, FAST, Args, key_at
from keyp.command.stream_arguments import Trimming, entry_id, start_of, stop_of
from keyp.command.table import CommandTable
from keyp.errors import NO_SUCH_KEY, SYNTAX, CommandError, wrong_arity
from keyp.resp.values import NULL_ARRAY, Encoded, Reply
from keyp.storage.types import streams
from keyp.storage.types.elements import Entry
from keyp.storage.types.stream_ids import (
    HALF_MAX,
    HALVES,
    LARGEST,
    ZERO,
    following,
    milliseconds_of,
    packed,
    sequence_of,
    text,
)
from keyp.storage.types.stream_trimming import trim

STREAMS = CommandTable(group="stream", categories="stream")

BY_CHANCE: Final = ("nondeterministic_output",)

NO_ID_LEFT: Final = "ERR The stream has exhausted the last possible ID, unable to add more items"
ID_TOO_SMALL: Final = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
ID_ZERO: Final = "ERR The ID specified in XADD must be greater than 0-0"
NEGATIVE_ADDED: Final = "ERR entries_added must be positive"
SMALLER_THAN_GIVEN: Final = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
SMALLER_THAN_DELETED: Final = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
SMALLER_THAN_TOP: Final = "ERR The ID specified in XSETID is smaller than the target stream top item"
FEWER_THAN_LENGTH: Final = "ERR The entries_added specified in XSETID is smaller than the target stream length"

ID_TEXT_MAX: Final = 41  # bytes of an id as clients see it
_ENTRY_HEADS: Final = [b"*2\r\n$%d\r\n" % size for size in range(ID_TEXT_MAX + 1)]
_SHOWN: Final = 256
_SEQUENCES: Final = [b"-%d\r\n" % sequence for sequence in range(_SHOWN)]


def words_of(fields: Args) -> bytes:
    """Fields and values as an entry keeps them: a RESP array of bulk strings."""
    parts = [b"*%d\r\n" % len(fields)]
    for word in fields:
        parts += (b"$%d\r\n" % len(word), word, b"\r\n")
    return b"".join(parts)


def encoded_entry(entry: Entry) -> bytes:
    """An entry as it is sent: an array of its id and its words."""
    name = text(entry[0])
    return _ENTRY_HEADS[len(name)] + name + b"\r\n" + entry[1]


def encoded_entries(entries: list[Entry]) -> Encoded:
    """An array of entries as it is sent. Entries that follow each other have often the same milliseconds."""
    parts = [b"*%d\r\n" % len(entries)]
    before, shown = -1, b""
    for place, words in entries:
        milliseconds, sequence = HALVES.unpack(place)
        if milliseconds != before:
            before = milliseconds
            shown = b"%d" % milliseconds
        tail = _SEQUENCES[sequence] if sequence < _SHOWN else b"-%d\r\n" % sequence
        parts += (_ENTRY_HEADS[len(shown) + len(tail) - 2], shown, tail, words)
    return Encoded(b"".join(parts))


# Writing.


_ANY_ID: Final = b"*"


class _WantedId:
    """The id that XADD is asked for: `*`, `ms-*` or a whole one. Raises INVALID_ID."""

    def __init__(self, word: bytes) -> None:
        self.id = ZERO
        self.has_time = word != _ANY_ID
        self.has_sequence = self.has_time and not word.partition(b"\0")[0].endswith(b"-*")
        if self.has_time:
            self.id = entry_id(word if self.has_sequence else word.partition(b"\0")[0][:-1] + b"0")

    def after(self, last: bytes, now_ms: int) -> bytes:
        """The id of an entry behind `last`. Raises ID_TOO_SMALL."""
        found = self.id
        if not self.has_time:
            found = packed(now_ms, 0) if now_ms > milliseconds_of(last) else following(last)
        elif not self.has_sequence and milliseconds_of(last) == milliseconds_of(found):
            if sequence_of(last) == HALF_MAX:
                raise CommandError(ID_TOO_SMALL)
            found = following(last)
        if found <= last:
            raise CommandError(ID_TOO_SMALL)
        return found


_NEXT_ID: Final = _WantedId(_ANY_ID)
_NO_TRIMMING: Final = Trimming([], is_add=True)


@STREAMS.write(
    "XADD",
    arity=-5,
    keys=key_at(1, "RW update"),
    flags=DENYOOM | FAST,
    since="5.0.0",
    complexity="O(1) to add, O(N) to trim with N the number of entries removed",
    tips=BY_CHANCE,
    syntax="key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
    summary="Adds an entry to a stream, which it makes where there is none.",
)
def xadd(context: WriteContext, args: Args) -> Reply:
    """Replies with the entry's id; null where there is no stream and none is to be made."""
    if args[2] == _ANY_ID:  # as nearly all calls are
        trimming, at, wanted = _NO_TRIMMING, 2, _NEXT_ID
    else:
        trimming = Trimming(args, is_add=True)
        at = trimming.end
        wanted = _WantedId(args[at] if at < len(args) else _ANY_ID)
        trimming.settle(context.transaction.limits.stream_entries, must_trim=False)
    if len(args) - at < 3 or (len(args) - at) % 2 == 0:
        raise wrong_arity("xadd")
    if wanted.has_sequence and wanted.id == ZERO:
        raise CommandError(ID_ZERO)
    keys = context.keys
    stream = streams.find_or_make(keys, args[1]) if trimming.may_make else streams.find(keys, args[1])
    if stream is None:
        return None
    if stream.last == LARGEST:
        raise CommandError(NO_ID_LEFT)
    added = wanted.after(stream.last, context.now_ms)
    stream.add(added, words_of(args[at + 1 :]))
    trimmed = 0
    if trimming.is_wanted:
        trimmed = trim(stream, trimming.most, trimming.least, trimming.whole_runs, trimming.limit)
    stream.save()
    keys.notify(events.STREAM, "xadd", args[1])
    if trimmed:
        keys.notify(events.STREAM, "xtrim", args[1], changes=0)
    if stream.record is not None:
        context.writing.ready.append((keys.index, args[1]))
    return text(added)


@STREAMS.write(
    "XTRIM",
    arity=-4,
    keys=key_at(1, "RW delete"),
    since="5.0.0",
    complexity="O(N) with N the number of entries removed, up to some hundreds; the others are removed later",
    tips=BY_CHANCE,
    syntax="key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]",
    summary="Removes entries from the front of a stream.",
)
def xtrim(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of entries removed."""
    trimming = Trimming(args, is_add=False)
    trimming.settle(context.transaction.limits.stream_entries, must_trim=True)
    stream = streams.find(context.keys, args[1])
    if stream is None:
        return 0
    trimmed = trim(stream, trimming.most, trimming.least, trimming.whole_runs, trimming.limit)
    if trimmed:
        stream.save()
        context.keys.notify(events.STREAM, "xtrim", args[1], trimmed)
    return trimmed


@STREAMS.write(
    "XDEL",
    arity=-3,
    keys=key_at(1, "RW delete"),
    flags=FAST,
    since="5.0.0",
    complexity="O(N) with N the number of ids given",
    syntax="key id [id ...]",
    summary="Removes entries from a stream.",
)
def xdel(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of entries that were there."""
    stream = streams.find(context.keys, args[1])
    if stream is None:
        return 0
    ids = [entry_id(word) for word in args[2:]]
    removed = sum([stream.remove(each) for each in ids])
    if removed:
        stream.save()
        context.keys.notify(events.STREAM, "xdel", args[1], removed)
    return removed


@STREAMS.write(
    "XSETID",
    arity=-3,
    keys=key_at(1, "RW update"),
    flags=DENYOOM | FAST,
    since="5.0.0",
    syntax="key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
    summary="Sets the id that the next entry of a stream has to be behind.",
)
def xsetid(context: WriteContext, args: Args) -> Reply:
    """Replies OK."""
    last = entry_id(args[2])
    added, deleted = _counters(args, last)
    stream = streams.find(context.keys, args[1])
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    if last < stream.deleted:
        raise CommandError(SMALLER_THAN_DELETED)
    if stream.count:
        if last < stream.last_entry()[0]:
            raise CommandError(SMALLER_THAN_TOP)
        if added != -1 and stream.count > added:
            raise CommandError(FEWER_THAN_LENGTH)
    stream.set_last(last)
    if added != -1:
        stream.added = added
    if deleted != ZERO:
        stream.deleted = deleted
    stream.save_unwatched()
    context.keys.notify(events.STREAM, "xsetid", args[1])
    return "OK"


def _counters(args: Args, last: bytes) -> tuple[int, bytes]:
    """XSETID's options: entries added, -1 where none are given, and the largest deleted id, ZERO likewise."""
    added, deleted = -1, ZERO
    for at in range(3, len(args), 2):
        word = args[at].upper()
        if at + 1 < len(args) and word == b"ENTRIESADDED":
            added = integer(args[at + 1])
            if added < 0:
                raise CommandError(NEGATIVE_ADDED)
        elif at + 1 < len(args) and word == b"MAXDELETEDID":
            deleted = entry_id(args[at + 1])
            if last < deleted:
                raise CommandError(SMALLER_THAN_GIVEN)
        else:
            raise CommandError(SYNTAX)
    return added, deleted


# Reading.


@STREAMS.read(
    "XLEN",
    arity=2,
    keys=key_at(1, "RO"),
    flags=FAST,
    since="5.0.0",
    syntax="key",
    summary="Counts the entries of a stream.",
)
def xlen(context: ReadContext, args: Args) -> Reply:
    """Replies with the number, 0 without such a key."""
    stream = streams.find(context.keys, args[1])
    return 0 if stream is None else stream.count


def _range(context: ReadContext, args: Args, start: bytes, stop: bytes, backwards: bool) -> Reply:
    """The entries of an interval whose ends are in it."""
    count = _count(args)
    stream = streams.find(context.keys, args[1])
    if stream is None:
        return []
    if count == 0:
        return NULL_ARRAY
    wanted = context.at_once(count)
    entries = stream.range_back(start, stop, wanted) if backwards else stream.range(start, stop, wanted)
    context.expect(len(entries))
    return encoded_entries(entries)


def _count(args: Args) -> int:
    """XRANGE's option: how many entries at most."""
    count = INT64_MAX
    for at in range(4, len(args), 2):
        if args[at].upper() != b"COUNT" or at + 1 == len(args):
            raise CommandError(SYNTAX)
        count = max(integer(args[at + 1]), 0)
    return count


@STREAMS.read(
    "XRANGE",
    arity=-4,
    keys=key_at(1, "RO access"),
    since="5.0.0",
    complexity="O(N) with N the number of entries returned",
    syntax="key start end [COUNT count]",
    summary="Returns the entries of a stream from one id to another.",
)
def xrange(context: ReadContext, args: Args) -> Reply:
    """Replies with ids and words, the first ones first."""
    return _range(context, args, start_of(args[2]), stop_of(args[3]), backwards=False)


@STREAMS.read(
    "XREVRANGE",
    arity=-4,
    keys=key_at(1, "RO access"),
    since="5.0.0",
    complexity="O(N) with N the number of entries returned",
    syntax="key end start [COUNT count]",
    summary="Returns the entries of a stream from one id to another, the last ones first.",
)
def xrevrange(context: ReadContext, args: Args) -> Reply:
    """Replies with ids and words, the last ones first."""
    return _range(context, args, start_of(args[3]), stop_of(args[2]), backwards=True)
