"""How much memory each client takes, and which are evicted when all together take more than `maxmemory-clients`.

A client's memory is an estimate from numbers that are kept anyway: what it has sent and what waits for it, what it has
queued, watches and listens to. The constants are what the process grew by for many of a kind.

No request is weighed. A connection gives notice of its client only where something grows beyond what is normal: a
large request arrives in parts, replies wait that the socket does not take, a batch may have changed what the client has
queued, watches or listens to. Notices are summed up, and where the sum reaches the limit the largest clients go at the
end of the reactor's iteration. One that has shrunk meanwhile counts for too much, so those noticed are weighed anew
before. What is not large enough for a notice is found once a second, when all clients are weighed. While there is no
limit there are no notices.

https://redis.io/docs/latest/develop/reference/clients/#client-eviction
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyp.server.clients import Client, ClientState, ClientTable
from keyp.server.config import Settings

# Bytes for each of a kind, besides those of names and arguments themselves.
CONNECTION_BYTES: Final = 3500
CALL_BYTES: Final = 150
ARGUMENT_BYTES: Final = 40

# A chunk of requests, or a request that is not complete, is large from so many bytes on.
LARGE: Final = 16 * 1024

LIMIT_MIN: Final = 128 * 1024  # with less than this nobody could talk to the server any more


def total(client: Client, state: ClientState) -> int:
    """The bytes that a client takes, where its state is `state`."""
    return (
        CONNECTION_BYTES
        + client.input_buffered
        + client.input_arguments * ARGUMENT_BYTES
        + client.request_bytes
        + client.output_buffered
        + client.subscribed_bytes
        + state.watched_bytes
        + state.queue_bytes
        + state.queued * CALL_BYTES
        + state.queue_arguments * ARGUMENT_BYTES
    )


def limit_of(settings: Settings) -> int:
    """The bytes that all clients may take together, as `maxmemory-clients` says; 0 where there is no limit."""
    limit = settings.maxmemory_clients
    if limit < 0:
        if not settings.maxmemory:
            return 0
        limit = settings.maxmemory * -limit // 100
    return max(limit, LIMIT_MIN) if limit else 0


class ClientMemory:
    """The memory of a server's clients. `exceeded` is called when it may be more than the limit, once until `evict`.

    `evict_one` ends a client's connection, for which so many bytes were counted.
    """

    def __init__(
        self,
        clients: ClientTable,
        settings: Settings,
        exceeded: Callable[[], object],
        evict_one: Callable[[Client, int], None],
    ) -> None:
        self._clients = clients
        self._settings = settings
        self._exceeded = exceeded
        self._evict_one = evict_one
        self._noticed: dict[int, Client] = {}
        self._noticed_bytes = 0  # of them, beyond CONNECTION_BYTES each
        self._asked = False
        self.limit = limit_of(settings)  # bytes, 0 is none

    def follow_settings(self) -> bool:
        """Takes over the limit. Whether it has changed to one that the clients have not been weighed for."""
        before, self.limit = self.limit, limit_of(self._settings)
        return self.limit not in (0, before)

    def notice(self, client: Client) -> None:
        """Something of a client has grown, or a client has come. For while there is a limit."""
        now = total(client, client.state) - CONNECTION_BYTES
        self._noticed_bytes += now - client.noticed_bytes
        client.noticed_bytes = now
        if now:
            self._noticed[client.id] = client
        if not self._asked and self._sum() >= self.limit:
            self._asked = True
            self._exceeded()

    def forget(self, client: Client) -> None:
        """A client is gone."""
        if self._noticed.pop(client.id, None) is not None:
            self._noticed_bytes -= client.noticed_bytes
            client.noticed_bytes = 0

    def _sum(self) -> int:
        return self._noticed_bytes + CONNECTION_BYTES * len(self._clients)

    def _weigh(self, clients: list[Client]) -> None:
        """Counts these and no others as noticed."""
        for client in self._noticed.values():
            client.noticed_bytes = 0
        self._noticed, self._noticed_bytes = {}, 0
        for client in clients:
            client.noticed_bytes = total(client, client.state) - CONNECTION_BYTES
            if client.noticed_bytes:
                self._noticed[client.id] = client
                self._noticed_bytes += client.noticed_bytes

    def evict(self) -> bool:
        """Evicts the largest clients until the others keep the limit. Whether they do now.

        A client that has asked for it by CLIENT NO-EVICT is spared, but counts.
        """
        self._asked = False
        if self.limit:
            self._weigh(list(self._noticed.values()))
        if not self.limit or self._sum() < self.limit:
            return True
        staying = [client for client in self._clients.all() if client.stays]
        self._weigh(staying)
        left = CONNECTION_BYTES * len(staying) + self._noticed_bytes
        for client in sorted(staying, key=_noticed_bytes, reverse=True):
            if left < self.limit:
                break
            if not client.state.no_evict:
                size = CONNECTION_BYTES + client.noticed_bytes
                left -= size
                self._evict_one(client, size)
        return left < self.limit

    def weigh_all(self) -> None:
        """Weighs every client: there is a limit that there was not before. Evicts those who exceed it."""
        self._weigh(self._clients.all())
        self.evict()


def _noticed_bytes(client: Client) -> int:
    return client.noticed_bytes
