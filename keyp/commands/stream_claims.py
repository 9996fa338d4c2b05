"""XCLAIM and XAUTOCLAIM: pending entries that change hands."""

from __future__ import annotations

from typing import Final

from keyp.command.arguments import INT64_MAX, integer, integer_between
from keyp.command.context import WriteContext
from keyp.command.spec import FAST, Args, key_at
from keyp.command.stream_arguments import entry_id, start_of
from keyp.command.table import CommandTable
from keyp.commands.stream_groups import find_group_of, no_group_or_key
from keyp.commands.stream_reads import find_or_make_consumer
from keyp.commands.streams import encoded_entry
from keyp.errors import COUNT_NOT_POSITIVE, SYNTAX, CommandError, printable
from keyp.resp.values import Encoded, Reply
from keyp.storage.types.stream_groups import Consumer, Group, Pending
from keyp.storage.types.stream_ids import ZERO, text

STREAM_CLAIMS = CommandTable(group="stream", categories="stream")

BY_CHANCE: Final = ("nondeterministic_output",)

BAD_IDLE_TIME: Final = "ERR Invalid min-idle-time argument for {}"
BAD_OPTION: Final = "ERR Invalid {} option argument for XCLAIM"

USUAL_COUNT: Final = 100
COUNT_MAX: Final = INT64_MAX // 16
ATTEMPTS: Final = 10  # pending entries that XAUTOCLAIM looks at for each one that it may claim

AS_IT_IS: Final = -1  # instead of a number of deliveries


class _Options:
    """XCLAIM's ids and options. `deliveries` is AS_IT_IS where none are given."""

    def __init__(self, args: Args, now_ms: int) -> None:
        self.ids: list[bytes] = []
        at = 5
        while at < len(args):
            try:
                self.ids.append(entry_id(args[at]))
            except CommandError:
                break  # the options begin here
            at += 1
        self.delivered_ms = now_ms
        self.deliveries = AS_IT_IS
        self.force = False
        self.just_id = False
        self.last = ZERO
        while at < len(args):
            at = self._read(args, at, now_ms)

    def _read(self, args: Args, at: int, now_ms: int) -> int:
        """Reads the option at `at`; where the next one begins."""
        word = args[at].upper()
        if word == b"FORCE":
            self.force = True
            return at + 1
        if word == b"JUSTID":
            self.just_id = True
            return at + 1
        if at + 1 == len(args) or word not in (b"IDLE", b"TIME", b"RETRYCOUNT", b"LASTID"):
            raise CommandError(f"ERR Unrecognized XCLAIM option '{printable(args[at])}'")
        if word == b"LASTID":
            self.last = entry_id(args[at + 1])
            return at + 2
        number = integer(args[at + 1], BAD_OPTION.format(word.decode()))
        if word == b"RETRYCOUNT":
            self.deliveries = number
        else:
            delivered_ms = now_ms - number if word == b"IDLE" else number
            self.delivered_ms = delivered_ms if 0 <= delivered_ms <= now_ms else now_ms
        return at + 2


@STREAM_CLAIMS.write(
    "XCLAIM",
    arity=-6,
    keys=key_at(1, "RW update"),
    flags=FAST,
    since="5.0.0",
    complexity="O(N) with N the number of ids given",
    tips=BY_CHANCE,
    syntax="key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count]"
    " [FORCE] [JUSTID] [LASTID lastid]",
    summary="Gives pending entries to another consumer of the group.",
)
def xclaim(context: WriteContext, args: Args) -> Reply:
    """Replies with the entries that the consumer has now, or with their ids."""
    group = find_group_of(context.keys, args[1], args[2])
    if group is None:
        raise no_group_or_key(args[1], args[2])
    least_ms = integer(args[4], BAD_IDLE_TIME.format("XCLAIM"))
    options = _Options(args, context.now_ms)
    group.last = max(group.last, options.last)
    consumer = find_or_make_consumer(context, group, args[3])
    replies: list[Reply] = []
    for each in options.ids:
        pending = group.find_pending(each)
        words = group.stream.entry(each)
        if words is None:
            if pending is not None:
                group.forget(pending)
                context.writing.changes += 1
            continue
        if pending is None:
            if not options.force:
                continue
            pending = group.add_pending(each, consumer, context.now_ms)
        elif not _is_idle(context, pending, least_ms):
            continue
        _claim(context, group, pending, consumer, options.just_id)
        pending.delivered_ms = options.delivered_ms
        if options.deliveries >= 0:
            pending.deliveries = options.deliveries
        group.update(pending)
        replies.append(text(each) if options.just_id else Encoded(encoded_entry((each, words))))
    group.save()
    return replies


def _is_idle(context: WriteContext, pending: Pending, least_ms: int) -> bool:
    return least_ms <= 0 or context.now_ms - pending.delivered_ms >= least_ms


def _claim(context: WriteContext, group: Group, pending: Pending, consumer: Consumer, just_id: bool) -> None:
    """A pending entry becomes a consumer's, delivered to it now unless it gets the id alone."""
    group.claim(pending, consumer)
    if not just_id:
        pending.deliveries += 1
    consumer.active_ms = context.now_ms
    context.writing.changes += 1


class _AutoOptions:
    """XAUTOCLAIM's options."""

    def __init__(self, args: Args) -> None:
        self.count = USUAL_COUNT
        self.just_id = False
        at = 6
        while at < len(args):
            word = args[at].upper()
            if word == b"COUNT" and at + 1 < len(args):
                self.count = integer_between(args[at + 1], 1, COUNT_MAX, COUNT_NOT_POSITIVE)
                at += 1
            elif word == b"JUSTID":
                self.just_id = True
            else:
                raise CommandError(SYNTAX)
            at += 1


@STREAM_CLAIMS.write(
    "XAUTOCLAIM",
    arity=-6,
    keys=key_at(1, "RW delete"),
    flags=FAST,
    since="6.2.0",
    complexity="O(N) with N the number of entries looked at, ten times COUNT at most",
    tips=BY_CHANCE,
    syntax="key group consumer min-idle-time start [COUNT count] [JUSTID]",
    summary="Gives pending entries that have waited for long to another consumer of the group, some at each call.",
)
def xautoclaim(context: WriteContext, args: Args) -> Reply:
    """Replies with where to go on, the entries claimed, or their ids, and the ids whose entries are gone."""
    least_ms = integer(args[4], BAD_IDLE_TIME.format("XAUTOCLAIM"))
    start = start_of(args[5])
    options = _AutoOptions(args)
    group = find_group_of(context.keys, args[1], args[2])
    if group is None:
        raise no_group_or_key(args[1], args[2])
    consumer = find_or_make_consumer(context, group, args[3])
    claimed: list[Reply] = []
    gone: list[Reply] = []
    following = ZERO
    for looked_at, pending in enumerate(group.all_pending(start)):
        if len(claimed) + len(gone) == options.count or looked_at == options.count * ATTEMPTS:
            following = pending.id
            break
        words = group.stream.entry(pending.id)
        if words is None:
            group.forget(pending)
            gone.append(text(pending.id))
            context.writing.changes += 1
        elif _is_idle(context, pending, least_ms):
            _claim(context, group, pending, consumer, options.just_id)
            pending.delivered_ms = context.now_ms
            group.update(pending)
            claimed.append(text(pending.id) if options.just_id else Encoded(encoded_entry((pending.id, words))))
    group.save()
    return [text(following), claimed, gone]
