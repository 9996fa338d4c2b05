"""Commands on consumer groups of streams: groups, their consumers, and entries that are not acknowledged yet."""

from __future__ import annotations

from typing import Final

from keyp import events
from keyp.command.arguments import integer
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import DENYOOM, FAST, Args, key_at
from keyp.command.stream_arguments import entry_id, id_or_end, start_of, stop_of
from keyp.command.table import CommandTable
from keyp.errors import SYNTAX, CommandError, printable, wrong_subcommand
from keyp.resp.values import NULL_ARRAY, Reply
from keyp.storage.keys.keyspace import Keyspace
from keyp.storage.types import streams
from keyp.storage.types.stream_groups import UNKNOWN, Group, Pending, add_group, find_group, remove_group
from keyp.storage.types.stream_ids import ZERO, text
from keyp.storage.types.streams import Stream

STREAM_GROUPS = CommandTable(group="stream", categories="stream")

BY_CHANCE: Final = ("nondeterministic_output",)

GROUP_EXISTS: Final = "BUSYGROUP Consumer Group name already exists"
NEGATIVE_READ: Final = "ERR value for ENTRIESREAD must be positive or -1"
NO_STREAM: Final = (
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option"
    " to create an empty stream automatically."
)

HELP: Final = (
    "CREATE <key> <groupname> <id|$> [option]",
    "    Create a new consumer group. Options are:",
    "    * MKSTREAM",
    "      Create the empty stream if it does not exist.",
    "    * ENTRIESREAD entries_read",
    "      Set the group's entries_read counter (internal use).",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Create a new consumer in the specified group.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove the specified consumer.",
    "DESTROY <key> <groupname>",
    "    Remove the specified group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Set the current group ID and entries_read counter.",
)


def no_group_or_key(key: bytes, name: bytes) -> CommandError:
    """The error of commands that need a group, where there is none or no stream."""
    return CommandError(f"NOGROUP No such key '{printable(key)}' or consumer group '{printable(name)}'")


def find_group_of(keys: Keyspace, key: bytes, name: bytes) -> Group | None:
    """The group of a name of the stream that a key holds, None where there is no such group or key."""
    stream = streams.read(keys, key)
    return None if stream is None else find_group(stream, name)


# Groups and consumers.

STREAM_GROUPS.container(
    "XGROUP",
    arity=-2,
    categories="",
    since="5.0.0",
    help_text=HELP,
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommands about consumer groups.",
)


def _options(args: Args, may_make: bool) -> tuple[bool, int]:
    """Whether a stream is to be made, and how many entries the group has read, UNKNOWN where it is not given."""
    makes, entries_read = False, UNKNOWN
    at = 5
    while at < len(args):
        word = args[at].upper()
        if may_make and word == b"MKSTREAM":
            makes = True
            at += 1
        elif word == b"ENTRIESREAD" and at + 1 < len(args):
            entries_read = integer(args[at + 1])
            if entries_read < UNKNOWN:
                raise CommandError(NEGATIVE_READ)
            at += 2
        else:
            raise wrong_subcommand("XGROUP", args[1])
    return makes, entries_read


def _existing(context: WriteContext, key: bytes) -> Stream:
    stream = streams.find(context.keys, key)
    if stream is None:
        raise CommandError(NO_STREAM)
    return stream


def _existing_group(context: WriteContext, key: bytes, name: bytes) -> Group:
    group = find_group(_existing(context, key), name)
    if group is None:
        raise no_such_group(key, name)
    return group


def no_such_group(key: bytes, name: bytes) -> CommandError:
    """The error where a stream has no such group."""
    return CommandError(f"NOGROUP No such consumer group '{printable(name)}' for key name '{printable(key)}'")


@STREAM_GROUPS.write(
    "XGROUP|CREATE",
    arity=-5,
    keys=key_at(2, "RW insert"),
    flags=DENYOOM,
    since="5.0.0",
    syntax="key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
    summary="Makes a consumer group, to which what stands behind an id is new.",
)
def xgroup_create(context: WriteContext, args: Args) -> Reply:
    """Replies OK."""
    makes, entries_read = _options(args, may_make=True)
    keys = context.keys
    found = streams.find(keys, args[2])
    if found is None and not makes:
        raise CommandError(NO_STREAM)
    if len(args) > 8:
        raise wrong_subcommand("XGROUP", args[1])
    newest = ZERO if found is None else found.last
    last = newest if args[4] == b"$" else entry_id(args[4])
    stream = found or streams.find_or_make(keys, args[2])
    if found is not None and find_group(stream, args[3]) is not None:
        raise CommandError(GROUP_EXISTS)
    add_group(stream, args[3], last, entries_read)
    stream.save_unwatched()
    keys.notify(events.STREAM, "xgroup-create", args[2])
    return "OK"


@STREAM_GROUPS.write(
    "XGROUP|SETID",
    arity=-5,
    keys=key_at(2, "RW update"),
    since="5.0.0",
    syntax="key group <id | $> [ENTRIESREAD entries-read]",
    summary="Sets the id behind which entries are new to a group.",
)
def xgroup_setid(context: WriteContext, args: Args) -> Reply:
    """Replies OK."""
    _, entries_read = _options(args, may_make=False)
    group = _existing_group(context, args[2], args[3])
    if len(args) not in (5, 7):
        raise wrong_subcommand("XGROUP", args[1])
    group.last = group.stream.last if args[4] == b"$" else id_or_end(args[4])
    group.entries_read = entries_read
    group.save()
    context.keys.notify(events.STREAM, "xgroup-setid", args[2])
    return "OK"


@STREAM_GROUPS.write(
    "XGROUP|DESTROY",
    arity=4,
    keys=key_at(2, "RW delete"),
    since="5.0.0",
    syntax="key group",
    summary="Removes a consumer group, whatever is pending.",
)
def xgroup_destroy(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of groups removed."""
    group = find_group(_existing(context, args[2]), args[3])
    if group is None:
        return 0
    remove_group(group)
    group.stream.save_unwatched()
    context.keys.notify(events.STREAM, "xgroup-destroy", args[2])
    context.writing.ready.append((context.keys.index, args[2]))  # who waits for what is new to it gets an error
    return 1


@STREAM_GROUPS.write(
    "XGROUP|CREATECONSUMER",
    arity=5,
    keys=key_at(2, "RW insert"),
    flags=DENYOOM,
    since="6.2.0",
    syntax="key group consumer",
    summary="Makes a consumer of a group.",
)
def xgroup_createconsumer(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of consumers made."""
    group = _existing_group(context, args[2], args[3])
    if group.consumer(args[4]) is not None:
        return 0
    group.add_consumer(args[4], context.now_ms)
    group.save()
    context.keys.notify(events.STREAM, "xgroup-createconsumer", args[2])
    return 1


@STREAM_GROUPS.write(
    "XGROUP|DELCONSUMER",
    arity=5,
    keys=key_at(2, "RW delete"),
    since="5.0.0",
    complexity="O(N) with N the number of the consumer's pending entries",
    syntax="key group consumer",
    summary="Removes a consumer of a group, and its pending entries.",
)
def xgroup_delconsumer(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of pending entries that it had."""
    group = _existing_group(context, args[2], args[3])
    consumer = group.consumer(args[4])
    if consumer is None:
        return 0
    group.remove_consumer(consumer)
    group.save()
    context.keys.notify(events.STREAM, "xgroup-delconsumer", args[2])
    return consumer.pending


# Pending entries.


@STREAM_GROUPS.write(
    "XACK",
    arity=-4,
    keys=key_at(1, "RW update"),
    flags=FAST,
    since="5.0.0",
    complexity="O(N) with N the number of ids given",
    syntax="key group id [id ...]",
    summary="Acknowledges entries that were delivered to a consumer of a group.",
)
def xack(context: WriteContext, args: Args) -> Reply:
    """Replies with the number of entries that were pending."""
    group = find_group_of(context.keys, args[1], args[2])
    if group is None:
        return 0
    ids = [entry_id(word) for word in args[3:]]
    acknowledged = sum([group.acknowledge(each) for each in ids])
    if acknowledged:
        group.save()
        context.writing.changes += acknowledged
    return acknowledged


class _Extent:
    """What XPENDING is asked for besides a summary."""

    def __init__(self, args: Args) -> None:
        self.idle_ms = 0
        at = 3
        if args[3].upper() == b"IDLE":
            self.idle_ms = integer(args[4])
            if len(args) < 8:
                raise CommandError(SYNTAX)
            at = 5
        self.count = max(integer(args[at + 2]), 0)
        self.start = start_of(args[at])
        self.stop = stop_of(args[at + 1])
        self.consumer = args[at + 3] if at + 3 < len(args) else None


@STREAM_GROUPS.read(
    "XPENDING",
    arity=-3,
    keys=key_at(1, "RO access"),
    since="5.0.0",
    complexity="O(N) with N the number of pending entries looked at, or of consumers",
    tips=BY_CHANCE,
    syntax="key group [[IDLE min-idle-time] start end count [consumer]]",
    summary="Returns the entries that are pending in a group, or how many they are.",
)
def xpending(context: ReadContext, args: Args) -> Reply:
    """Replies with count, smallest and largest id and consumers; with a range with id, consumer, idle time, count."""
    if len(args) != 3 and not 6 <= len(args) <= 9:
        raise CommandError(SYNTAX)
    extent = None if len(args) == 3 else _Extent(args)
    group = find_group_of(context.keys, args[1], args[2])
    if group is None:
        raise no_group_or_key(args[1], args[2])
    return _summary(context, group) if extent is None else _listed(context, group, extent)


def _summary(context: ReadContext, group: Group) -> Reply:
    if not group.pending:
        return [0, None, None, NULL_ARRAY]
    context.expect(group.consumers)
    first = next(group.all_pending(ZERO)).id
    consumers: list[Reply] = [
        [consumer.name, b"%d" % consumer.pending] for consumer in group.all_consumers() if consumer.pending
    ]
    return [group.pending, text(first), text(group.last_pending()), consumers]


def _listed(context: ReadContext, group: Group, extent: _Extent) -> Reply:
    if extent.consumer is None:
        found = group.all_pending(extent.start)
        most = group.pending
    else:
        consumer = group.consumer(extent.consumer)
        if consumer is None:
            return []
        found = group.pending_of(consumer, extent.start)
        most = consumer.pending
    context.expect(most if extent.idle_ms > 0 else min(most, extent.count))
    replies: list[Reply] = []
    for pending in found:
        if pending.id > extent.stop or len(replies) == extent.count:
            break
        idle_ms = context.now_ms - pending.delivered_ms
        if idle_ms >= extent.idle_ms or extent.idle_ms == 0:
            replies.append(_shown(group, pending, idle_ms))
    return replies


def _shown(group: Group, pending: Pending, idle_ms: int) -> Reply:
    name = group.numbered(pending.consumer).name
    return [text(pending.id), name, max(idle_ms, 0), pending.deliveries]
