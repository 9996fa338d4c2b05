"""Which subscriptions a user may keep when his rules change."""

from __future__ import annotations

from keyp.server.acl.user import User
from keyp.server.clients import Client
from keyp.server.pubsub import CHANNEL, PATTERN, SHARD


def may_not_listen(client: Client, user: User) -> bool:
    """Whether a client listens to anything that none of its user's selectors allows."""
    for channel_type in (CHANNEL, PATTERN, SHARD):
        for name in client.subscribed[channel_type]:
            if not _allows(user, channel_type, name):
                return True
    return False


def may_not_take_up(user: User, channel_type: int, names: list[bytes]) -> bool:
    """Whether any of these names is one that none of the user's selectors allows."""
    return not all(_allows(user, channel_type, name) for name in names)


def _allows(user: User, channel_type: int, name: bytes) -> bool:
    return any(selector.allows_channel(name, channel_type == PATTERN) for selector in user.selectors)
