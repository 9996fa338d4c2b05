"""XREAD and XREADGROUP: what has come to streams behind an id, or is new to a group; both can wait for it.

XREAD is a read, and becomes one for the writer only where it has to wait.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from keyp import events
from keyp.command.arguments import INT64_MAX, integer
from keyp.command.block_timeout import whole_timeout_ms
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import BLOCKING, MOVABLEKEYS, Args, KeysBehindWord
from keyp.command.stream_arguments import entry_id
from keyp.command.table import CommandTable
from keyp.commands.streams import encoded_entries, encoded_entry
from keyp.errors import SYNTAX, CommandError, printable
from keyp.resp.values import NULL_ARRAY, Encoded, PairedMap, Reply, Wait
from keyp.storage.types import streams
from keyp.storage.types.stream_groups import Consumer, Group, find_group, read_on
from keyp.storage.types.stream_ids import LARGEST, ZERO, following, text
from keyp.storage.types.streams import Stream
from keyp.storage.value_types import STREAM

STREAM_READS = CommandTable(group="stream", categories="stream")

NO_GROUP_GIVEN: Final = "ERR Missing GROUP option for XREADGROUP"
ONLY_FOR_GROUPS: Final = "ERR The {} option is only supported by XREADGROUP. You called XREAD instead."
NEW_WITHOUT_GROUP: Final = (
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
)
LAST_WITH_GROUP: Final = (
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by"
    " specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."
)
UNBALANCED: Final = "ERR Unbalanced '{}' list of streams: for each stream key an ID or '{}' must be specified."

NEW: Final = LARGEST  # instead of an id: what is new to the group


class _Options:
    """The options of both commands. `timeout_ms` is -1 where the client does not wait; `count` is of each stream."""

    def __init__(self, context: ReadContext, args: Args, of_group: bool) -> None:
        self.count = INT64_MAX
        self.timeout_ms = -1
        self.group: bytes | None = None
        self.consumer = b""
        self.noack = False
        self.first = 0  # where the keys begin
        at = 1
        while at < len(args) and not self.first:
            word, more = args[at].upper(), len(args) - at - 1
            if word == b"BLOCK" and more:
                self.timeout_ms = whole_timeout_ms(context, args[at + 1])
                at += 2
            elif word == b"COUNT" and more:
                self.count = max(integer(args[at + 1]), 0) or INT64_MAX
                at += 2
            elif word == b"STREAMS" and more:
                self.first = at + 1
            elif word == b"GROUP" and more >= 2:
                if not of_group:
                    raise CommandError(ONLY_FOR_GROUPS.format("GROUP"))
                self.group, self.consumer = args[at + 1], args[at + 2]
                at += 3
            elif word == b"NOACK":
                if not of_group:
                    raise CommandError(ONLY_FOR_GROUPS.format("NOACK"))
                self.noack = True
                at += 1
            else:
                raise CommandError(SYNTAX)
        if not self.first:
            raise CommandError(SYNTAX)
        words = len(args) - self.first
        if words % 2:
            name = args[0].decode("latin-1").lower()
            raise CommandError(UNBALANCED.format(name, ">" if of_group else "$"))
        if of_group and self.group is None:
            raise CommandError(NO_GROUP_GIVEN)
        middle = self.first + words // 2
        self.keys, self.ids = args[self.first : middle], args[middle:]


# Without a group.


@STREAM_READS.read(
    "XREAD",
    arity=-4,
    keys=(KeysBehindWord(b"STREAMS", 1, "RO access"),),
    flags=BLOCKING | MOVABLEKEYS,
    since="5.0.0",
    complexity="O(N) with N the number of entries returned",
    syntax="[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
    summary="Returns the entries of streams behind ids, and waits for some where there are none.",
)
def xread(context: ReadContext, args: Args) -> Reply:
    """Replies with entries by key; the null array where there are none, or when the time is over."""
    options = _Options(context, args, of_group=False)
    found: list[tuple[bytes, Stream | None, bytes]] = []
    again = args.copy()
    for index, (key, word) in enumerate(zip(options.keys, options.ids, strict=True)):
        stream = streams.find(context.keys, key)
        if word == b"$":
            after = ZERO if stream is None else stream.last
            again[options.first + len(options.keys) + index] = text(after)
        elif word == b">":
            raise CommandError(NEW_WITHOUT_GROUP)
        else:
            after = entry_id(word)
        found.append((key, stream, after))
    replies: list[tuple[bytes, Reply]] = []
    for key, stream, after in found:
        context.keys.note_read(key, stream is not None)  # as Redis, which looks a second time
        if stream is not None and stream.count and stream.last > after:
            entries = stream.behind(after, context.at_once(options.count))
            context.expect(len(entries))
            if entries:
                replies.append((key, encoded_entries(entries)))
    if replies:
        return PairedMap(replies)
    if options.timeout_ms < 0:
        return NULL_ARRAY
    return Wait(STREAM, options.keys, options.timeout_ms, again=again, rival=None)


# With a group.


class _Source:
    """A stream that a consumer reads, and from where: behind an id of its history, or what is NEW."""

    def __init__(self, key: bytes, group: Group, after: bytes) -> None:
        self.key = key
        self.stream = group.stream
        self.group = group
        self.after = after


@STREAM_READS.write(
    "XREADGROUP",
    arity=-7,
    keys=(KeysBehindWord(b"STREAMS", 4, "RO access"),),
    flags=BLOCKING | MOVABLEKEYS,
    since="5.0.0",
    complexity="O(M) with M the number of entries returned",
    syntax="GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]",
    summary="Returns entries that are new to a group, or those that a consumer has not acknowledged, and waits for new"
    " ones where there are none.",
)
def xreadgroup(context: WriteContext, args: Args) -> Reply:
    """Replies with entries by key; the null array where there are none, or when the time is over."""
    options = _Options(context, args, of_group=True)
    name = options.group
    assert name is not None
    groups: dict[bytes, Group] = {}
    sources: list[_Source] = []
    for key, word in zip(options.keys, options.ids, strict=True):
        groups[key] = groups.get(key) or _group(context, key, name)
        sources.append(_Source(key, groups[key], _after(word)))
    replies: list[tuple[bytes, Reply]] = []
    for source in sources:
        context.keys.note_read(source.key, found=True)  # as Redis, which looks a second time
        consumer = find_or_make_consumer(context, source.group, options.consumer)
        if source.after == NEW:
            entries = _read_new(context, source, consumer, options)
        else:
            entries = _read_history(context, source, consumer, options.count)
        if entries is not None:
            replies.append((source.key, entries))
        source.group.save()
    if replies:
        return PairedMap(replies)
    if options.timeout_ms < 0:
        return NULL_ARRAY
    return Wait(STREAM, options.keys, options.timeout_ms, rival=b"g" + name, needs_key=True)


def _group(context: WriteContext, key: bytes, name: bytes) -> Group:
    """The group of a name. Raises NOGROUP."""
    stream = streams.read(context.keys, key)
    group = None if stream is None else find_group(stream, name)
    if group is None:
        shown = f"'{printable(key)}' or consumer group '{printable(name)}'"
        raise CommandError(f"NOGROUP No such key {shown} in XREADGROUP with GROUP option")
    return group


def _after(word: bytes) -> bytes:
    """The id behind which a consumer reads its history, or NEW."""
    if word == b"$":
        raise CommandError(LAST_WITH_GROUP)
    return NEW if word == b">" else entry_id(word)


def find_or_make_consumer(context: WriteContext, group: Group, name: bytes) -> Consumer:
    """The consumer of a name, made where there is none. It is seen now."""
    consumer = group.consumer(name)
    if consumer is None:
        consumer = group.add_consumer(name, context.now_ms)
        context.keys.notify(events.STREAM, "xgroup-createconsumer", group.stream.key)
    consumer.seen_ms = context.now_ms
    group.changed(consumer)
    return consumer


def _read_new(context: WriteContext, source: _Source, consumer: Consumer, options: _Options) -> Reply:
    """Delivers what is new to a group; None where nothing is."""
    stream, group = source.stream, source.group
    if not stream.count or stream.last <= group.last:
        return None
    entries = stream.behind(group.last, options.count)
    if not entries:
        return None
    ids = [each for each, _ in entries]
    read_on(group, ids)
    if not options.noack:
        for each in ids:
            group.deliver(each, consumer, context.now_ms)
        consumer.active_ms = context.now_ms
    context.writing.changes += 1
    return encoded_entries(entries)


def _read_history(context: WriteContext, source: _Source, consumer: Consumer, count: int) -> Reply:
    """What a consumer has not acknowledged, behind an id: entries, or ids alone where the entries are gone."""
    stream, group = source.stream, source.group
    replies: list[Reply] = []
    start = following(source.after) if source.after != LARGEST else LARGEST
    for pending in islice(group.pending_of(consumer, start), min(count, consumer.pending)):
        words = stream.entry(pending.id)
        if words is None:
            replies.append([text(pending.id), NULL_ARRAY])
            continue
        pending.delivered_ms = context.now_ms
        pending.deliveries += 1
        group.update(pending)
        replies.append(Encoded(encoded_entry((pending.id, words))))
    context.writing.changes += 1
    return replies
