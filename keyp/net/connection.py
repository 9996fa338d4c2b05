"""One connection: bytes in, bytes out, and the pace between them.

A connection has one batch under way at a time; what arrives meanwhile waits and becomes the next batch. Replies go
straight to the socket, those of all connections in one burst when the reactor has done what was ready (`Outbox`). The
transport's buffer holds only what the socket refused, and until it is empty again nothing more is read from this
client: one that does not read its replies stops only itself.

Messages to a client that listens to channels come unasked. They wait behind what the transport still has to send, and
behind replies that wait for an effect, but not without end: a client for which too much waits is cut off.

Every request passes through here, so this file is compiled; `protocol.py` is the face that Twisted sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.logger import Logger

from keyp.batch import Batch
from keyp.clients import Client
from keyp.commands.server_state import ServerState
from keyp.engine import Engine
from keyp.resp.encoder import encode
from keyp.resp.parser import RequestParser
from keyp.resp.values import ReplyError

log = Logger()

# Bytes of requests that may wait behind a batch before the connection stops reading.
WAITING_MAX: Final = 1 << 20


# Bytes that are read at once, the first for small requests, with room for what Python puts around them: so large a
# piece of memory is had for next to nothing, and Python takes it before it knows how many bytes have come. A client
# that fills one is given the next; the second is as much as the reference reads.
READ_SIZES: Final = (512 - 33, 16 * 1024, 256 * 1024)

# After so many reads in a row that the half of the size before would have held, that size comes back.
SMALL_READS: Final = 16

# Bytes of replies that may wait for the others' burst.
BURST_MAX: Final = 64 * 1024

# Bytes of messages that wait here, and of which the transport takes so many at once: what it holds counts as waiting
# until all of it has left.
LATE_AT_ONCE: Final = 1 << 20


class Outbox:
    """The connections with replies that have not left yet. `call_soon` is None where each is to be sent at once.

    A client that waits has to be woken, by the first bytes that come; a kernel takes longer for that than for a small
    reply. Sent in a burst, the replies of many connections find a client that serves them all awake already.
    """

    def __init__(self, call_soon: Callable[[Callable[[], None]], Any] | None) -> None:
        self._call_soon = call_soon
        self._connections: list[Connection] = []

    def add(self, connection: Connection) -> None:
        """A connection has something to send."""
        if self._call_soon is None:
            connection.flush()
            return
        if not self._connections:
            self._call_soon(self.flush)
        self._connections.append(connection)

    def flush(self) -> None:
        """Sends what waits."""
        connections, self._connections = self._connections, []
        for connection in connections:
            try:
                connection.flush()
            except Exception:  # the others' replies must leave
                log.failure("replies could not be sent")


class Host(Protocol):
    """What a connection needs of the server it belongs to."""

    state: ServerState
    engine: Engine
    outbox: Outbox
    call_soon: Callable[[Callable[[], None]], Any]  # runs a function when the reactor has done what is ready

    def describe(self, transport: Any) -> Client:
        """The client at the other end of a new connection."""

    def client_came(self, connection: Connection) -> None:
        """The connection stands and has its client."""

    def client_left(self, connection: Connection) -> None:
        """The connection is gone."""


class Connection:
    """The server's side of a connection that stands on `transport`, a TCP or UNIX server transport of Twisted's."""

    def __init__(self, host: Host, transport: Any) -> None:
        self.transport = transport
        self.client = host.describe(transport)
        self._host = host
        self._state = host.state
        self._engine = host.engine
        self._outbox = host.outbox
        self._call_soon = host.call_soon
        self._metrics = host.state.metrics
        self._socket_send: Callable[[bytes], int] = transport.getHandle().send
        self._parser = RequestParser()
        self.follow_settings()
        self._read_more(0)
        self._waiting: list[list[bytes]] = []
        self._waiting_bytes = 0
        self._replies: list[bytes] = []  # those that wait for the burst …
        self._reply_bytes = 0  # … and how much that is
        self._late: list[bytes] = []  # messages that wait, and replies behind them
        self._late_bytes = 0
        self.over_limit_since = 0.0  # seconds since 1970; 0 while no more is waiting than the soft limit
        self._running = False
        self._waits: Batch | None = None  # the batch that has ended in waiting for a key
        self._congested = False
        self._paused = False
        self._gone = False

    def follow_settings(self) -> None:
        """Takes over the limits of requests, which settings may change at any time."""
        settings = self._state.settings
        self._parser.max_bulk_bytes = settings.proto_max_bulk_len
        self._parser.max_buffer_bytes = settings.client_query_buffer_limit

    def _read_more(self, step: int) -> None:
        """Has the transport read as many bytes at once as `READ_SIZES` says."""
        self._read_step = step
        self._read_bytes = READ_SIZES[step]
        self._small_reads = 0
        self.transport.bufferSize = self._read_bytes

    def _adjust_read_size(self, size: int) -> None:
        """So many bytes have come at once."""
        step = self._read_step
        if size == self._read_bytes and step < len(READ_SIZES) - 1:
            self._read_more(step + 1)
        elif size >= READ_SIZES[max(step - 1, 0)] // 2:
            self._small_reads = 0
        elif step > 0:
            self._small_reads += 1
            if self._small_reads == SMALL_READS:
                self._read_more(step - 1)

    def received(self, data: bytes) -> None:
        """Bytes have come."""
        client = self.client
        if client.closing:
            return
        size = len(data)
        self._metrics.reads += 1
        self._metrics.input_bytes += size
        client.bytes_in += size
        if self._read_step or size == self._read_bytes:
            self._adjust_read_size(size)
        parser = self._parser
        requests = parser.feed(data)
        client.input_buffered = parser.buffered_bytes
        if self._running or self._congested:
            self._waiting += requests
            self._waiting_bytes += size
            self._adjust_reading()
        elif requests:
            self._submit(requests)
        elif parser.error is not None:
            self._end_in_error()

    def _submit(self, requests: list[list[bytes]]) -> None:
        self._running = True
        self._engine.submit(Batch(self._state, self.client, requests, self._answered))

    def _answered(self, batch: Batch) -> None:
        """The batch is done: its replies leave, and what has come meanwhile is the next batch."""
        self._waits = batch if batch.waiter is not None else None
        if self._gone:
            self.end_wait("")
            return
        if self.client.replies_held:
            self._send_held(batch.replies)
        else:
            self._send(batch.replies)
        if self._waits is not None:
            return  # the next reply comes when the waiting is over
        self._running = False
        if batch.rest:
            self._waiting = batch.rest + self._waiting
            self._running = True  # until its next turn: the others' requests come first
            self._call_soon(self._take_turn)
        elif batch.ends_connection or self.client.closing:
            self.close()
        elif not self._congested:
            self._go_on()

    def _take_turn(self) -> None:
        """Goes on with the rest of a batch."""
        self._running = False
        if self._gone:
            return
        if self.client.closing:
            self.close()
        elif not self._congested:
            self._go_on()

    def _go_on(self) -> None:
        if self._waiting:
            requests, self._waiting = self._waiting, []
            self._waiting_bytes = 0
            self._adjust_reading()
            self._submit(requests)
        elif self._parser.error is not None:
            self._end_in_error()
        else:
            self._adjust_reading()

    def _end_in_error(self) -> None:
        error = self._parser.error
        if error is not None and not error.silent:
            self.refuse(error.text)
        else:
            self.close()

    def _send(self, chunks: list[bytes]) -> None:
        """Sends chunks of bytes with the next burst, or now where they are many."""
        size = sum([len(chunk) for chunk in chunks])
        if size == 0 or self._gone:
            return
        if self._late:
            self._postpone(chunks, size)
        else:
            self._put(chunks, size)

    def _put(self, chunks: list[bytes], size: int) -> None:
        self.client.bytes_out += size
        self._metrics.output_bytes += size
        waited = self._reply_bytes
        self._replies += chunks
        self._reply_bytes += size
        if self._reply_bytes > BURST_MAX:
            self.flush()
        elif waited == 0:
            self._outbox.add(self)

    def push(self, data: bytes) -> None:
        """Sends a message that the client has not asked for just now."""
        if self._gone or self.client.closing:
            return
        if self._congested or self.client.replies_held or self._late:
            self._postpone([data], len(data))
        else:
            self._put([data], len(data))

    def _postpone(self, chunks: list[bytes], size: int) -> None:
        self._late += chunks
        self._late_bytes += size
        self.client.output_buffered += size
        self._check_hard_limit()

    def _send_held(self, replies: list[bytes]) -> None:
        """Sends replies that had to wait for an effect, and behind them the messages that have come meanwhile."""
        self.client.replies_held = False
        size = sum([len(chunk) for chunk in replies])
        self._late = replies + self._late
        self._late_bytes += size
        self.client.output_buffered += size
        self._send_late()

    def _send_late(self) -> None:
        """Sends what has waited here, until the socket takes no more."""
        while self._late and not self._congested and not self._gone and not self.client.replies_held:
            count = size = 0
            for chunk in self._late:
                count += 1
                size += len(chunk)
                if size >= LATE_AT_ONCE:
                    break
            chunks = self._late[:count]
            del self._late[:count]
            self._late_bytes -= size
            self.client.output_buffered -= size
            if size:
                self._put(chunks, size)

    def _limits(self) -> tuple[int, int, int]:
        settings = self._state.settings
        return settings.pubsub_output_limits if self.client.state.is_subscriber else settings.normal_output_limits

    def _check_hard_limit(self) -> None:
        hard = self._limits()[0]
        if 0 < hard < self.client.output_buffered:
            self._cut_off()

    def check_soft_limit(self, now: float) -> None:
        """Cuts the client off if too much has been waiting for it for too long. Called once a second, at `now`."""
        _, soft, seconds = self._limits()
        if soft == 0 or self.client.output_buffered <= soft:
            self.over_limit_since = 0.0
        elif not self.over_limit_since:
            self.over_limit_since = now
        elif now - self.over_limit_since > seconds:
            self._cut_off()
        self._check_hard_limit()

    def _cut_off(self) -> None:
        if not self.client.closing:
            waiting = self.client.output_buffered
            log.warn(
                "{address} does not read: closed with {waiting} bytes waiting",
                address=self.client.address,
                waiting=waiting,
            )
            self.abort()

    def flush(self) -> None:
        """Sends what the socket takes; the transport keeps the rest."""
        size = self._reply_bytes
        if size == 0:
            return
        replies, self._replies = self._replies, []
        self._reply_bytes = 0
        data = replies[0] if len(replies) == 1 else b"".join(replies)
        sent = 0
        if not self._congested:
            self._metrics.writes += 1
            try:
                sent = self._socket_send(data)
            except OSError:
                sent = 0  # what the socket does not take, or an error it has, the transport meets again and handles
        if sent < size:
            self._congested = True
            self.client.output_buffered += size - sent
            self.transport.write(data[sent:] if sent else data)
            self._adjust_reading()
            self._check_hard_limit()

    def drained(self) -> None:
        """The transport's buffer is empty: what waited goes on."""
        if not self._congested:
            return
        self._congested = False
        self.client.output_buffered = self._late_bytes
        if self._late:
            self._send_late()
        if not self._congested and not self._running and not self._gone:
            self._go_on()

    def lost(self) -> None:
        """The connection is gone; what waits is dropped, what is under way has no reader."""
        self._gone = True
        self._waiting.clear()
        self._forget_replies()
        if self._waits is not None:
            self._engine.forget(self._waits)
        self._host.client_left(self)

    def refuse(self, text: str) -> None:
        """Ends the connection with an error reply."""
        self._metrics.error(text)
        self._send([encode(ReplyError(text), 2)])
        self.close()

    def finish(self) -> None:
        """Takes no more requests; ends the connection when the replies to what is under way have left."""
        self.client.closing = True
        if not self._running or self._waits is not None:
            self.close()

    def end_wait(self, error: str) -> None:
        """Ends the client's waiting for a key, if it waits."""
        if self._waits is not None:
            self._engine.end_wait(self._waits, error)

    def close(self) -> None:
        """Ends the connection once everything sent so far has left."""
        self._stop_listening()
        self._waiting.clear()
        if not self._gone:
            self.flush()
            self._give_up_late()
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def kill(self) -> None:
        """Ends the connection now. A peer that has read its replies sees it end, not fail, as with the reference."""
        if self._congested:
            self.abort()
        else:
            self.close()

    def abort(self) -> None:
        """Ends the connection now; what has not left is dropped and the peer sees a reset."""
        self._stop_listening()
        self._waiting.clear()
        self._forget_replies()
        if not self._gone:
            self.transport.abortConnection()

    def _stop_listening(self) -> None:
        """The connection is about to end: neither requests nor messages are taken any more."""
        self.client.closing = True
        self._state.pubsub.forget(self.client)

    def _give_up_late(self) -> None:
        """Hands the transport all that waits here: the connection ends, and nothing follows."""
        late, self._late = self._late, []
        self._late_bytes = 0
        if late:
            self.transport.write(b"".join(late))

    def _forget_replies(self) -> None:
        self._replies = []
        self._reply_bytes = 0
        self._late = []
        self._late_bytes = 0

    def _adjust_reading(self) -> None:
        """Reads from the client, or leaves its bytes to the kernel while too much is under way."""
        pause = self._congested or self._waiting_bytes > WAITING_MAX
        if pause != self._paused and not self._gone:
            self._paused = pause
            if pause:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()
