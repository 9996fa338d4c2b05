"""XINFO: what there is of a stream, its groups and their consumers."""

from __future__ import annotations

from itertools import islice
from typing import Final

from keyp.command.arguments import INT64_MAX, integer
from keyp.command.context import ReadContext
from keyp.command.spec import Args, key_at
from keyp.command.table import CommandTable
from keyp.commands.stream_groups import no_such_group
from keyp.commands.streams import encoded_entries, encoded_entry
from keyp.errors import NO_SUCH_KEY, CommandError, wrong_subcommand
from keyp.resp.values import Encoded, Reply
from keyp.storage.types import streams
from keyp.storage.types.stream_groups import UNKNOWN, Consumer, Group, all_groups, find_group, lag
from keyp.storage.types.stream_ids import LARGEST, ZERO, text
from keyp.storage.types.streams import Stream

STREAM_INFO = CommandTable(group="stream", categories="stream")

BY_CHANCE: Final = ("nondeterministic_output",)

SHOWN: Final = 10  # entries of each list in XINFO STREAM FULL, where no count is given

HELP: Final = (
    "CONSUMERS <key> <groupname>",
    "    Show consumers of <groupname>.",
    "GROUPS <key>",
    "    Show the stream consumer groups.",
    "STREAM <key> [FULL [COUNT <count>]",
    "    Show information about the stream.",
)

STREAM_INFO.container(
    "XINFO",
    arity=-2,
    categories="",
    since="5.0.0",
    help_text=HELP,
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommands that describe a stream.",
)


def _existing(context: ReadContext, key: bytes) -> Stream:
    stream = streams.find(context.keys, key)
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    return stream


def _or_null(number: int) -> Reply:
    return None if number == UNKNOWN else _signed(number)


def _signed(number: int) -> int:
    """A number of entries as Redis shows it, which goes on below zero behind the largest of 63 bits."""
    return number if -INT64_MAX <= number <= INT64_MAX else (number + INT64_MAX + 1) % (1 << 64) - INT64_MAX - 1


def _lag(group: Group) -> Reply:
    found = lag(group)
    return None if found is None else _signed(found)


@STREAM_INFO.read(
    "XINFO|STREAM",
    arity=-3,
    keys=key_at(2, "RO access"),
    since="5.0.0",
    complexity="O(N) with N the number of entries shown",
    syntax="key [FULL [COUNT count]]",
    summary="Describes a stream.",
)
def xinfo_stream(context: ReadContext, args: Args) -> Reply:
    """Replies with a map; with FULL with its entries, its groups and their consumers."""
    stream = _existing(context, args[2])
    if len(args) == 3:
        return _described(stream)
    if len(args) not in (4, 6) or args[3].upper() != b"FULL" or (len(args) == 6 and args[4].upper() != b"COUNT"):
        raise wrong_subcommand("XINFO", args[1])
    count = SHOWN
    if len(args) == 6:
        count = integer(args[5])
        count = SHOWN if count < 0 else count or INT64_MAX
    return _fully_described(context, stream, count)


def _counts(stream: Stream) -> dict[bytes, Reply]:
    """What both descriptions begin with. Redis keeps a node of its tree for each run, and one above."""
    runs = sum([1 for _ in stream.runs()])
    return {
        b"length": stream.count,
        b"radix-tree-keys": runs,
        b"radix-tree-nodes": runs + 1,
        b"last-generated-id": text(stream.last),
        b"max-deleted-entry-id": text(stream.deleted),
        b"entries-added": _signed(stream.added),
        b"recorded-first-entry-id": text(stream.first),
    }


def _described(stream: Stream) -> Reply:
    shown = _counts(stream)
    shown[b"groups"] = stream.groups
    shown[b"first-entry"] = Encoded(encoded_entry(stream.first_entry())) if stream.count else None
    shown[b"last-entry"] = Encoded(encoded_entry(stream.last_entry())) if stream.count else None
    return shown


def _fully_described(context: ReadContext, stream: Stream, count: int) -> Reply:
    context.expect(min(count, stream.count))
    shown = _counts(stream)
    shown[b"entries"] = encoded_entries(stream.range(ZERO, LARGEST, count))
    shown[b"groups"] = [_full_group(context, group, count) for group in all_groups(stream)]
    return shown


def _full_group(context: ReadContext, group: Group, count: int) -> Reply:
    context.expect(min(count, group.pending))
    pending: list[Reply] = [
        [text(each.id), group.numbered(each.consumer).name, each.delivered_ms, each.deliveries]
        for each in islice(group.all_pending(ZERO), min(count, group.pending))
    ]
    return {
        b"name": group.name,
        b"last-delivered-id": text(group.last),
        b"entries-read": _or_null(group.entries_read),
        b"lag": _lag(group),
        b"pel-count": group.pending,
        b"pending": pending,
        b"consumers": [_full_consumer(group, consumer, count) for consumer in group.all_consumers()],
    }


def _full_consumer(group: Group, consumer: Consumer, count: int) -> Reply:
    pending: list[Reply] = [
        [text(each.id), each.delivered_ms, each.deliveries]
        for each in islice(group.pending_of(consumer, ZERO), min(count, consumer.pending))
    ]
    return {
        b"name": consumer.name,
        b"seen-time": consumer.seen_ms,
        b"active-time": consumer.active_ms,
        b"pel-count": consumer.pending,
        b"pending": pending,
    }


@STREAM_INFO.read(
    "XINFO|GROUPS",
    arity=3,
    keys=key_at(2, "RO access"),
    since="5.0.0",
    complexity="O(N) with N the number of groups",
    syntax="key",
    summary="Describes the consumer groups of a stream.",
)
def xinfo_groups(context: ReadContext, args: Args) -> Reply:
    """Replies with a map for each group."""
    return [
        {
            b"name": group.name,
            b"consumers": group.consumers,
            b"pending": group.pending,
            b"last-delivered-id": text(group.last),
            b"entries-read": _or_null(group.entries_read),
            b"lag": _lag(group),
        }
        for group in all_groups(_existing(context, args[2]))
    ]


@STREAM_INFO.read(
    "XINFO|CONSUMERS",
    arity=4,
    keys=key_at(2, "RO access"),
    since="5.0.0",
    complexity="O(N) with N the number of consumers",
    tips=BY_CHANCE,
    syntax="key group",
    summary="Describes the consumers of a group.",
)
def xinfo_consumers(context: ReadContext, args: Args) -> Reply:
    """Replies with a map for each consumer."""
    group = find_group(_existing(context, args[2]), args[3])
    if group is None:
        raise no_such_group(args[2], args[3])
    context.expect(group.consumers)
    return [
        {
            b"name": consumer.name,
            b"pending": consumer.pending,
            b"idle": max(context.now_ms - consumer.seen_ms, 0),
            b"inactive": -1 if consumer.active_ms == UNKNOWN else max(context.now_ms - consumer.active_ms, 0),
        }
        for consumer in group.all_consumers()
    ]
