"""One connection: bytes in, bytes out, and the pace between them.

A connection has one batch under way at a time; what arrives meanwhile waits and becomes the next batch. Replies go
straight to the socket, those of all connections in one burst when the reactor has done what was ready (`Outbox`). The
transport's buffer holds only what the socket refused, and until it is empty again nothing more is read from this
client: one that does not read its replies stops only itself.

Messages to a client that listens to channels come unasked. They wait behind what the transport still has to send, and
behind replies that wait for an effect, but not without end: a client for which too much waits is cut off.

A request that has arrived is run, also when its client ends its input or disconnects, and its reply is sent as long as
the connection stands. Only a blocked command is dropped with its client, and what stands behind it.

The state of a connection is one state of each of three groups:

| work | means | left when |
|---|---|---|
| IDLE | nothing is under way | requests come, or wait |
| RUNNING | the dispatcher has a batch | it is answered |
| YIELDING | a batch has ended early | the other connections have been served |
| BLOCKED | a batch has ended in a blocked command | it is served or unblocked, or the client disconnects |
| OVER | the connection is lost and nothing is left to run | never |

| input | means | | output | means |
|---|---|---|---|---|
| READING | requests may come | | FLOWING | the socket takes replies |
| PAUSED | they stay in the kernel | | CONGESTED | the transport keeps what the socket refused |
| ENDED | no more will come | | GONE | the connection is lost |

OVER goes with GONE, and GONE with ENDED; all else may meet. Requests wait only while the work is not IDLE or the output
CONGESTED. `_advance`, called after each change, takes the step that the state allows: so nothing is left waiting, and
reading is never left PAUSED.

Every request passes through here, so this file is compiled; `protocol.py` is the face that Twisted sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger

from keyp.command.server_state import ServerState
from keyp.execution.batch import Batch
from keyp.execution.dispatcher import Dispatcher
from keyp.execution.loop import Loop
from keyp.net.backlog import WAITING_MAX, Backlog
from keyp.net.late_messages import LateMessages
from keyp.net.outbox import Outbox
from keyp.net.output_limits import OutputLimits
from keyp.net.read_size import READ_SIZES, ReadSize
from keyp.resp.encoder import encode
from keyp.resp.parser import RequestParser
from keyp.resp.values import ReplyError
from keyp.server.client_memory import LARGE, ClientMemory
from keyp.server.clients import Client

log = Logger(__name__)

# What is done with requests.
IDLE: Final = 0
RUNNING: Final = 1
YIELDING: Final = 2
BLOCKED: Final = 3
OVER: Final = 4

# Whether more of them can come.
READING: Final = 0
PAUSED: Final = 1
ENDED: Final = 2

# Whether replies leave.
FLOWING: Final = 0
CONGESTED: Final = 1
GONE: Final = 2

# Bytes of replies that may wait for the others' burst.
BURST_MAX: Final = 64 * 1024


class Host(Protocol):
    """What a connection needs of the server it belongs to."""

    state: ServerState
    client_memory: ClientMemory
    dispatcher: Dispatcher
    outbox: Outbox
    loop: Loop

    def describe(self, transport: Any) -> Client:
        """The client at the other end of a new connection."""

    def client_came(self, connection: Connection) -> None:
        """The connection stands and has its client."""

    def client_certified(self, connection: Connection, name: str) -> None:
        """The client has a certificate with this common name."""

    def client_left(self, connection: Connection) -> None:
        """The connection is gone."""


class Connection:
    """The server's side of a connection that stands on `transport`, a TCP or UNIX server transport of Twisted's."""

    def __init__(self, host: Host, transport: Any) -> None:
        self.transport = transport
        self.client = host.describe(transport)
        self._host = host
        self._state = host.state
        self._dispatcher = host.dispatcher
        self._outbox = host.outbox
        self._call_soon = host.loop.call_soon
        self._metrics = host.state.metrics
        self._memory = host.client_memory
        self._socket_send: Callable[[bytes], int] = transport.getHandle().send
        self._parser = RequestParser()
        self._parser.is_limited = not self.client.state.authenticated
        self.follow_settings()
        self._read_size = ReadSize(transport)
        self._backlog = Backlog(self._parser)
        self._work: int = IDLE
        self._input: int = READING
        self._output: int = FLOWING
        self._running_bytes = 0  # of the requests under way, where they are large
        self._blocked: Batch | None = None  # the batch that has ended in waiting for a key
        self._replies: list[bytes] = []  # those that wait for the burst …
        self._reply_bytes = 0  # … and how much that is
        self._late = LateMessages()
        self.output_limits = OutputLimits(self.client, host.state.settings)

    def follow_settings(self) -> None:
        """Takes over the limits of requests, which settings may change at any time."""
        settings = self._state.settings
        self._parser.max_bulk_bytes = settings.proto_max_bulk_len
        self._parser.max_buffer_bytes = settings.client_query_buffer_limit

    def received(self, data: bytes) -> None:
        """Bytes have come."""
        client = self.client
        if client.closing:
            return
        size = len(data)
        self._metrics.reads += 1
        self._metrics.input_bytes += size
        client.bytes_in += size
        if self._read_size.step or size == self._read_size.bytes:
            self._read_size.follow(size)
        if self._work != IDLE or self._output != FLOWING:
            self._keep(data)
            return
        parser = self._parser
        if parser.is_limited:
            self._follow_user()
        received = client.input_buffered + size
        requests = parser.feed(data)
        client.input_buffered = parser.buffered_bytes
        if received > LARGE:
            self._running_bytes = received - client.input_buffered
            self._input_grew()
        if requests:
            self._work = RUNNING
            self._dispatcher.submit(Batch(self._state, client, requests, self._answered))
        elif parser.has_rest:
            self._yield_turn()
        elif parser.error is not None:
            self._end_in_error()

    def _input_grew(self) -> None:
        """Much has come, of a request that is not complete or of whole ones."""
        self._note_input()
        if self._memory.limit:
            self._memory.notice(self.client)

    def _note_input(self) -> None:
        self.client.request_bytes = self._running_bytes + self._backlog.waiting_bytes
        self.client.input_arguments = self._parser.argument_count

    def log_in(self, name: bytes) -> None:
        """Makes a user the client's, before anything has run for it."""
        self.client.state.user, self.client.state.authenticated = name, True
        self._follow_user()

    def _follow_user(self) -> None:
        """A client that has to log in may send short requests only."""
        self._parser.is_limited = self._state.users.must_log_in(self.client.state)

    def _keep(self, data: bytes) -> None:
        """Keeps what has come while earlier requests are under way.

        A blocked client is still read from, because otherwise its disconnection would not show. As in Redis, what it
        sends is not parsed before it is unblocked, and too much of it ends the connection.
        """
        backlog = self._backlog
        if self._work == BLOCKED or backlog.unparsed or self._parser.has_rest or self._parser.is_limited:
            backlog.unparsed += data
        else:
            backlog.parse(data)
        self.client.input_buffered = backlog.buffered_bytes()
        if backlog.waiting_bytes + self.client.input_buffered > LARGE:
            self._input_grew()
        if self._work == BLOCKED and self.client.input_buffered > self._parser.max_buffer_bytes:
            self.close()
        self._adjust_reading()

    def _answered(self, batch: Batch) -> None:
        """The batch is done: its replies leave, and what has come meanwhile is the next batch."""
        if self._output != GONE:
            if self.client.replies_held:
                self._send_held(batch.replies)
            elif self._late.bytes:
                self._postpone(batch.replies)
            elif batch.replies:
                self._send(batch.replies)
        if batch.blocked is not None:
            self._work = BLOCKED
            self._blocked = batch
            if self._input != READING or self._output != FLOWING:
                self._advance()
            return
        self._work = IDLE
        self._blocked = None
        if self.client.request_bytes or self.client.input_arguments:
            if not batch.rest:
                self._running_bytes = 0
            self._note_input()
        if self._memory.limit and not batch.simple:
            self._memory.notice(self.client)
        if self._parser.is_limited or not batch.state.authenticated:
            self._follow_user()
        if batch.ends_connection or self.client.closing:
            self.close()
        elif batch.rest or batch.held or self._backlog.unparsed or self._parser.has_rest:
            self._backlog.rest = batch.rest + (batch.held or [])
            self._yield_turn()
        elif (
            self._backlog.waiting_bytes
            or self._input != READING
            or self._output != FLOWING
            or self._parser.error is not None
        ):
            self._advance()

    def _yield_turn(self) -> None:
        """The others' requests come first; the connection goes on when the reactor has been round."""
        self._work = YIELDING
        self._call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._work = IDLE
        self._advance()

    def _advance(self) -> None:
        """Goes on with what waits, or ends the connection where nothing more can come."""
        if self._work == BLOCKED and self._input == ENDED:
            self.close()
        elif self._work == IDLE and self._output != CONGESTED:
            self._run_next()
        self._adjust_reading()

    def _run_next(self) -> None:
        if self.client.closing:
            self.close()
            return
        requests = self._backlog.next()
        self.client.input_buffered = self._backlog.buffered_bytes()
        if requests:
            if self._backlog.taken_bytes > LARGE:
                self._running_bytes = self._backlog.taken_bytes
                self._input_grew()
            batch = Batch(self._state, self.client, requests, self._answered)
            if self._output == GONE and batch.simple and not batch.writes:
                self._yield_turn()  # it could do nothing but answer
            else:
                self._work = RUNNING
                self._dispatcher.submit(batch)
        elif self._parser.has_rest:
            self._yield_turn()
        elif self._parser.error is not None:
            self._end_in_error()
        elif self._input == ENDED:
            self.close()

    def _end_in_error(self) -> None:
        error = self._parser.error
        if error is not None and not error.silent:
            self.refuse(error.text)
            return
        if error is not None and error.text:
            self._dispatcher.limited_log.warn("TLS", f"{self.client.address} is disconnected: {error.text}")
        self.close()

    def _send(self, chunks: list[bytes]) -> None:
        """Sends chunks of bytes with the next burst, or now where they are many."""
        size = len(chunks[0]) if len(chunks) == 1 else sum([len(chunk) for chunk in chunks])
        if size == 0:
            return
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
        if self._output == GONE or self.client.closing:
            return
        if self._output == CONGESTED or self.client.replies_held or self._late.bytes:
            self._postpone([data])
        else:
            self._send([data])

    def _postpone(self, chunks: list[bytes]) -> None:
        self.client.output_buffered += self._late.add(chunks)
        self._output_grew()

    def _send_held(self, replies: list[bytes]) -> None:
        """Sends replies that had to wait for an effect, and behind them the messages that have come meanwhile."""
        self.client.replies_held = False
        self.client.output_buffered += self._late.add(replies, first=True)
        self._send_late()

    def _send_late(self) -> None:
        """Sends what has waited here, until the socket takes no more."""
        while self._late.bytes and self._output == FLOWING and not self.client.replies_held:
            waiting = self._late.bytes
            chunks = self._late.take()
            self.client.output_buffered -= waiting - self._late.bytes
            self._send(chunks)

    def _output_grew(self) -> None:
        """More waits for the client."""
        if self.output_limits.exceeds_hard():
            self._cut_off()
        elif self._memory.limit:
            self._memory.notice(self.client)

    def check_output(self, now_s: int) -> None:
        """Cuts the client off if too much is waiting for it, or has been for too long. `now_s` never goes back."""
        self.output_limits.note_reading(self.transport, now_s)
        if self.output_limits.exceeds_soft(now_s) or self.output_limits.exceeds_hard():
            self._cut_off()

    def _cut_off(self) -> None:
        if not self.client.dropped:
            waiting, address = self.client.output_buffered, self.client.address
            log.warn("{who} does not read: closed with {size} bytes waiting", who=address, size=waiting)
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
        if self._output == FLOWING:
            self._metrics.writes += 1
            try:
                sent = self._socket_send(data)
            except OSError:
                sent = 0  # what the socket does not take, or an error it has, the transport meets again and handles
        if sent < size:
            self._output = CONGESTED
            self.client.output_buffered += size - sent
            self.transport.write(data[sent:] if sent else data)
            self._adjust_reading()
            self._output_grew()

    def drained(self) -> None:
        """The transport's buffer is empty: what waited goes on."""
        if self._output != CONGESTED:
            return
        self._output = FLOWING
        self.client.output_buffered = self._late.bytes
        if self._late.bytes:
            self._send_late()
        self._advance()

    def ended(self) -> None:
        """The client sends nothing more, and may still read: it is answered what it has asked for."""
        self._input = ENDED
        if self._work == IDLE and self._output == FLOWING and not self._reply_bytes:
            self.transport.connectionLost(connectionDone)  # nothing is left to do; this is what Twisted would do
        else:
            self._advance()

    def leaving(self) -> None:
        """The connection is about to be lost, its socket is still open: what the kernel has received is taken."""
        if self._input == ENDED or self._work == BLOCKED or self.client.closing:
            return
        receive = self.transport.getHandle().recv
        try:
            while len(self._backlog.unparsed) <= self._parser.max_buffer_bytes:
                data = receive(READ_SIZES[-1])
                if not data:
                    break
                self._metrics.input_bytes += len(data)
                self.client.bytes_in += len(data)
                self._backlog.unparsed += data
        except OSError:
            pass  # that was all

    def lost(self) -> None:
        """The connection is gone: replies have no reader any more. What it has sent still runs."""
        self._output = GONE
        self._input = ENDED
        self._forget_replies()
        self.client.output_buffered = 0
        self._advance()

    def refuse(self, text: str) -> None:
        """Ends the connection with an error reply."""
        self._metrics.error(text)
        if self._output != GONE:
            self._send([encode(ReplyError(text), 2)])
        self.close()

    def finish(self) -> None:
        """Takes no more requests; ends the connection when the replies to what is under way have left."""
        self.client.closing = True
        if self._work == IDLE or self._work == BLOCKED:
            self.close()

    def end_wait(self, error: str) -> None:
        """Ends the client's waiting for a key, if it waits."""
        if self._blocked is not None:
            self._dispatcher.end_wait(self._blocked, error)

    def close(self) -> None:
        """Ends the connection once everything sent so far has left. A blocked client gets nothing any more."""
        self._stop_listening()
        self._backlog.clear()
        if self._blocked is not None:
            blocked, self._blocked = self._blocked, None
            self._dispatcher.forget(blocked)
        if self._output != GONE:
            self.flush()
            late = self._late.take_all()
            if late:
                self.transport.write(b"".join(late))
            if not self.transport.disconnecting:
                self.transport.unregisterProducer()
                self.transport.loseConnection()
        elif self._work == IDLE:
            self._work = OVER
            self._host.client_left(self)

    def kill(self) -> None:
        """Ends the connection now. A peer that has read its replies sees it end, not fail, as with Redis."""
        if self._output == CONGESTED or (self.client.closing and self.client.output_buffered):
            self.abort()
        else:
            self.close()

    def abort(self) -> None:
        """Ends the connection now; what has not left is dropped and the peer sees a reset."""
        self._stop_listening()
        self.client.dropped = True
        self._backlog.clear()
        self._forget_replies()
        if self._output != GONE:
            self.transport.abortConnection()

    def _stop_listening(self) -> None:
        """The connection is about to end: neither requests nor messages are taken any more."""
        self.client.closing = True
        self._input = ENDED
        self._state.pubsub.forget(self.client)

    def _forget_replies(self) -> None:
        self._replies = []
        self._reply_bytes = 0
        self._late.take_all()

    def _adjust_reading(self) -> None:
        """Reads from the client, or leaves its bytes to the kernel while too much is under way."""
        if self._input == ENDED:
            return
        pause = self._output == CONGESTED or (
            self._work != BLOCKED and (self._backlog.waiting_bytes > WAITING_MAX or len(self._backlog.unparsed) > 0)
        )
        if pause == (self._input == PAUSED):
            return
        if pause:
            self._input = PAUSED
            self.transport.pauseProducing()
        else:
            self._input = READING
            self.transport.resumeProducing()
