"""How a client comes to be blocked on keys, and how that ends: served, timed out, unblocked by another, or gone.

On the reactor's thread. The table belongs to the writer's thread while a group runs; so what ends a client's waiting
from outside waits for the moment between two groups, and finds then whether the client has been served meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from keyp.command.blocked_clients import BLOCKED, ENDED, READY, SERVED, BlockedClient, BlockedClients
from keyp.command.effects import Effect
from keyp.execution.loop import Loop
from keyp.execution.slow_calls import note_slow
from keyp.resp.values import NO_REPLY, NULL_ARRAY, Reply, ReplyError
from keyp.server.metrics import Metrics

log = Logger(__name__)


class Unblocker:
    """Looks after the clients in `table`.

    `between_groups` calls a function when no group runs; `perform` carries out an effect.
    """

    def __init__(
        self,
        table: BlockedClients,
        metrics: Metrics,
        loop: Loop,
        between_groups: Callable[[Callable[[BlockedClient, Reply], None], BlockedClient, Reply], None],
        perform: Callable[[Effect], object],
    ) -> None:
        self._table = table
        self._metrics = metrics
        self._loop = loop
        self._between_groups = between_groups
        self._perform = perform

    def begin(self, blocked: BlockedClient) -> None:
        """What came before in its batch is answered: from now on the client waits, if it has not been served yet."""
        self._between_groups(self._begun, blocked, None)

    def _begun(self, blocked: BlockedClient, reply: Reply) -> None:
        client = blocked.client
        client.waiting = True
        client.last_command = blocked.spec.full_name
        self._metrics.blocked_clients += 1
        if blocked.state == READY:
            blocked.state = SERVED
            self.end(blocked)
            return
        blocked.state = BLOCKED
        timeout_ms = blocked.wait.timeout_ms
        if timeout_ms:
            blocked.timer = self._loop.call_later(timeout_ms / 1000, self._call_off, blocked, NULL_ARRAY)

    def unblock(self, blocked: BlockedClient, error: str) -> None:
        """Ends the waiting with an error or, without one, as if its time had come."""
        self._call_off(blocked, ReplyError(error) if error else NULL_ARRAY)

    def forget(self, blocked: BlockedClient) -> None:
        """The client is gone: it takes nothing and gets no reply."""
        blocked.is_gone = True
        self._call_off(blocked, NO_REPLY)

    def _call_off(self, blocked: BlockedClient, reply: Reply) -> None:
        self._between_groups(self._called_off, blocked, reply)

    def _called_off(self, blocked: BlockedClient, reply: Reply) -> None:
        if not blocked.has_reply:
            self._table.leave(blocked, reply)
            self.end(blocked)

    def end(self, blocked: BlockedClient) -> None:
        """The client gets its reply, if it is known to wait, and goes on with what it has sent meanwhile."""
        if blocked.state != SERVED:
            return
        blocked.state = ENDED
        timer, blocked.timer = blocked.timer, None  # which knows the blocked client
        if timer is not None and timer.active():
            timer.cancel()
        blocked.client.waiting = False
        self._metrics.blocked_clients -= 1
        error = blocked.reply.text if isinstance(blocked.reply, ReplyError) else ""
        self._metrics.record(blocked.spec.full_name, blocked.nanoseconds, bool(error))
        if error:
            self._metrics.error(error)
        batch = blocked.batch
        if blocked.nanoseconds >= self._metrics.long_ns and not blocked.is_gone:
            name, now_us = batch.state.name, self._loop.time_ns() // 1000
            note_slow(self._metrics, blocked.client, name, blocked.spec, blocked.args, blocked.nanoseconds, now_us)
        for effect in blocked.effects:
            self._perform(effect)
        batch.end_wait()
        try:
            batch.done(batch)
        except Exception:
            log.failure("the reply to a blocked client could not leave")
