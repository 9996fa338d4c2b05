"""Publish/subscribe: messages to the current subscribers, stored nowhere.

Until the batch has been committed, a subscription stands in the batch's copy of the client's state; an effect brings it
into the table (`keyp.server.pubsub`). A message is an effect too. So what is undone is never published, and a message
that a batch publishes reaches the subscriptions that the same batch has made before.

Subscribing is answered by a push for each name, in RESP2 by an array of the same form. In RESP2 a subscriber may call
nothing else (`keyp.execution.executor`).
"""

from __future__ import annotations

from typing import Final

from keyp.algorithms.glob import Glob
from keyp.command.context import SessionContext
from keyp.command.effects import Publish, Subscribe, Unsubscribe
from keyp.command.spec import (
    FAST,
    FOR_SUBSCRIBERS,
    LOADING,
    MAY_REPLICATE,
    NOSCRIPT,
    STALE,
    Args,
    ChannelSpec,
    key_at,
    keys_from,
)
from keyp.command.spec import PUBSUB as ABOUT_PUBSUB
from keyp.command.table import CommandTable
from keyp.errors import CommandError, wrong_subcommand
from keyp.resp.values import Push, Reply, Several
from keyp.server.pubsub import CHANNEL, PATTERN, SHARD, Subscriptions, fits

# So many comparisons with patterns take as long as a message.
COMPARISONS: Final = 2

PUBSUB = CommandTable(group="pubsub")

LISTEN: Final = ABOUT_PUBSUB | NOSCRIPT | LOADING | STALE
PUBLISH_FLAGS: Final = ABOUT_PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE
ASK: Final = ABOUT_PUBSUB | LOADING | STALE

# How the reply to each (un)subscription begins, by channel type.
SUBSCRIBED: Final = (b"subscribe", b"psubscribe", b"ssubscribe")
UNSUBSCRIBED: Final = (b"unsubscribe", b"punsubscribe", b"sunsubscribe")

NOT_IN_EXEC: Final = "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"


def _subscriptions(context: SessionContext) -> Subscriptions:
    return Subscriptions(context.server.pubsub, context.client, context.state)


def _subscribe(context: SessionContext, channel_type: int, names: list[bytes]) -> Reply:
    seen = _subscriptions(context)
    fresh: list[bytes] = []
    replies: list[Reply] = []
    for name in names:
        if seen.take_up(channel_type, name):
            fresh.append(name)
        replies.append(Push([SUBSCRIBED[channel_type], name, seen.own_count(channel_type)]))
    context.after(Subscribe(context.state.protocol, channel_type, fresh))
    return Several(replies)


def _unsubscribe(context: SessionContext, channel_type: int, names: list[bytes]) -> Reply:
    """Without names, from all of this channel type; where there is none, the one reply names nothing."""
    seen = _subscriptions(context)
    given_up: list[bytes] = []
    replies: list[Reply] = []
    for name in names or seen.own(channel_type):
        if seen.give_up(channel_type, name):
            given_up.append(name)
        replies.append(Push([UNSUBSCRIBED[channel_type], name, seen.own_count(channel_type)]))
    if not replies:
        replies.append(Push([UNSUBSCRIBED[channel_type], None, seen.own_count(channel_type)]))
    context.after(Unsubscribe(context.state.protocol, channel_type, given_up))
    return Several(replies)


def unsubscribe_from_all(context: SessionContext) -> None:
    """Ends all subscriptions of the client, without replies."""
    for channel_type in (CHANNEL, PATTERN, SHARD):
        if context.state.subscriptions[channel_type]:
            _unsubscribe(context, channel_type, [])


@PUBSUB.session(
    "SUBSCRIBE",
    arity=-2,
    channels=ChannelSpec(1, reaches_end=True),
    flags=LISTEN | FOR_SUBSCRIBERS,
    since="2.0.0",
    complexity="O(N) with N the number of channels",
    syntax="channel [channel ...]",
    summary="Subscribes to channels.",
)
def subscribe(context: SessionContext, args: Args) -> Reply:
    """A reply for each channel: the word, the channel, how many channels and patterns the client has."""
    return _subscribe(context, CHANNEL, args[1:])


@PUBSUB.session(
    "UNSUBSCRIBE",
    arity=-1,
    flags=LISTEN | FOR_SUBSCRIBERS,
    since="2.0.0",
    complexity="O(N) with N the number of channels",
    syntax="[channel [channel ...]]",
    summary="Unsubscribes from channels, from all of them where none is named.",
)
def unsubscribe(context: SessionContext, args: Args) -> Reply:
    """A reply for each channel, as for SUBSCRIBE; one that names nothing where there was no channel."""
    return _unsubscribe(context, CHANNEL, args[1:])


@PUBSUB.session(
    "PSUBSCRIBE",
    arity=-2,
    channels=ChannelSpec(1, reaches_end=True, are_patterns=True),
    flags=LISTEN | FOR_SUBSCRIBERS,
    since="2.0.0",
    complexity="O(N) with N the number of patterns",
    syntax="pattern [pattern ...]",
    summary="Subscribes to all channels whose names match patterns.",
)
def psubscribe(context: SessionContext, args: Args) -> Reply:
    """A reply for each pattern, as for SUBSCRIBE."""
    return _subscribe(context, PATTERN, args[1:])


@PUBSUB.session(
    "PUNSUBSCRIBE",
    arity=-1,
    flags=LISTEN | FOR_SUBSCRIBERS,
    since="2.0.0",
    complexity="O(N) with N the number of patterns",
    syntax="[pattern [pattern ...]]",
    summary="Unsubscribes from patterns, from all of them where none is named.",
)
def punsubscribe(context: SessionContext, args: Args) -> Reply:
    """A reply for each pattern, as for UNSUBSCRIBE."""
    return _unsubscribe(context, PATTERN, args[1:])


@PUBSUB.session(
    "SSUBSCRIBE",
    arity=-2,
    channels=ChannelSpec(1, reaches_end=True),
    keys=keys_from(1, "not_key"),
    flags=LISTEN | FOR_SUBSCRIBERS,
    since="7.0.0",
    complexity="O(N) with N the number of shard channels",
    syntax="shardchannel [shardchannel ...]",
    summary="Subscribes to shard channels, which are separate from the other channels.",
)
def ssubscribe(context: SessionContext, args: Args) -> Reply:
    """A reply for each shard channel: the word, the channel, how many of them the client has."""
    if context.exec_calls:
        raise CommandError(NOT_IN_EXEC)
    return _subscribe(context, SHARD, args[1:])


@PUBSUB.session(
    "SUNSUBSCRIBE",
    arity=-1,
    keys=keys_from(1, "not_key"),
    flags=LISTEN | FOR_SUBSCRIBERS,
    since="7.0.0",
    complexity="O(N) with N the number of shard channels",
    syntax="[shardchannel [shardchannel ...]]",
    summary="Unsubscribes from shard channels, from all of them where none is named.",
)
def sunsubscribe(context: SessionContext, args: Args) -> Reply:
    """A reply for each shard channel, as for UNSUBSCRIBE."""
    return _unsubscribe(context, SHARD, args[1:])


def _publish(context: SessionContext, channel_type: int, args: Args) -> Reply:
    seen = _subscriptions(context)
    comparisons = seen.comparisons(channel_type)
    context.data.expect(comparisons)
    matching = seen.matching(channel_type, args[1], context.breathe)
    receivers = seen.receivers(channel_type, args[1], matching)
    work = receivers + comparisons // COMPARISONS
    context.after(Publish(context.state.protocol, channel_type, args[1], args[2], work, matching))
    return receivers


@PUBSUB.session(
    "PUBLISH",
    arity=3,
    channels=ChannelSpec(1),
    flags=PUBLISH_FLAGS,
    since="2.0.0",
    complexity="O(N+M) with N the number of clients that listen to the channel and M the number of all patterns",
    syntax="channel message",
    summary="Sends a message to the subscribers of a channel.",
)
def publish(context: SessionContext, args: Args) -> Reply:
    """How often the message is sent: to each client once for the channel and once for each pattern that matches."""
    return _publish(context, CHANNEL, args)


@PUBSUB.session(
    "SPUBLISH",
    arity=3,
    channels=ChannelSpec(1),
    keys=key_at(1, "not_key"),
    flags=PUBLISH_FLAGS,
    since="7.0.0",
    complexity="O(N) with N the number of clients that listen to the shard channel",
    syntax="shardchannel message",
    summary="Sends a message to the subscribers of a shard channel.",
)
def spublish(context: SessionContext, args: Args) -> Reply:
    """How many clients the message is sent to."""
    return _publish(context, SHARD, args)


PUBSUB.container(
    "PUBSUB",
    arity=-2,
    since="2.8.0",
    help_since="6.2.0",
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommands about subscriptions.",
)


def _names(context: SessionContext, channel_type: int, args: Args) -> Reply:
    """The names that have subscribers, or those of them that match a pattern."""
    if len(args) > 3:
        raise wrong_subcommand("PUBSUB", args[1])
    names = _subscriptions(context).names(channel_type)
    if len(args) == 2:
        return names
    glob = Glob(args[2])
    return [name for name in names if fits(glob, name)]


def _counts(context: SessionContext, channel_type: int, args: Args) -> Reply:
    """Each name that was asked for and how many subscribers it has."""
    seen = _subscriptions(context)
    found: list[Reply] = []
    for name in args[2:]:
        found += [name, seen.count(channel_type, name)]
    return found


@PUBSUB.session(
    "PUBSUB|CHANNELS",
    arity=-2,
    flags=ASK,
    since="2.8.0",
    complexity="O(N) with N the number of channels that have subscribers",
    syntax="[pattern]",
    summary="Lists the channels that have subscribers by name.",
)
def pubsub_channels(context: SessionContext, args: Args) -> Reply:
    """Replies with names, all or those that match the pattern."""
    return _names(context, CHANNEL, args)


@PUBSUB.session(
    "PUBSUB|NUMSUB",
    arity=-2,
    flags=ASK,
    since="2.8.0",
    complexity="O(N) with N the number of channels asked for",
    syntax="[channel [channel ...]]",
    summary="Counts the subscribers of channels by name.",
)
def pubsub_numsub(context: SessionContext, args: Args) -> Reply:
    """Replies with each channel and its count."""
    return _counts(context, CHANNEL, args)


@PUBSUB.session(
    "PUBSUB|NUMPAT",
    arity=2,
    flags=ASK,
    since="2.8.0",
    summary="Counts the patterns that have subscribers, each once.",
)
def pubsub_numpat(context: SessionContext, args: Args) -> Reply:
    """Replies with the count."""
    return len(_subscriptions(context).names(PATTERN))


@PUBSUB.session(
    "PUBSUB|SHARDCHANNELS",
    arity=-2,
    flags=ASK,
    since="7.0.0",
    complexity="O(N) with N the number of shard channels that have subscribers",
    syntax="[pattern]",
    summary="Lists the shard channels that have subscribers.",
)
def pubsub_shardchannels(context: SessionContext, args: Args) -> Reply:
    """Replies with names, all or those that match the pattern."""
    return _names(context, SHARD, args)


@PUBSUB.session(
    "PUBSUB|SHARDNUMSUB",
    arity=-2,
    flags=ASK,
    since="7.0.0",
    complexity="O(N) with N the number of shard channels asked for",
    syntax="[shardchannel [shardchannel ...]]",
    summary="Counts the subscribers of shard channels.",
)
def pubsub_shardnumsub(context: SessionContext, args: Args) -> Reply:
    """Replies with each shard channel and its count."""
    return _counts(context, SHARD, args)
