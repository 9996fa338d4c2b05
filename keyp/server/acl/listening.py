"""Which subscriptions a user may keep when his rules change."""

from __future__ import annotations

from keyp.server.acl.user import User
from keyp.server.clients import Client
from keyp.server.pubsub import CHANNEL, PATTERN, SHARD


def may_not_listen(client: Client, user: User) -> bool:
    """Whether a client listens to anything that none of its user's selectors allows."""
    for channel_type in (CHANNEL, PATTERN, SHARD):
        for name in client.subscribed[channel_type]:
            if not any(selector.allows_channel(name, channel_type == PATTERN) for selector in user.selectors):
                return True
    return False
