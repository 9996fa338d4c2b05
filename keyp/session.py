"""One batch of one client's requests, and how it is run.

A batch is what one chunk of a connection's bytes held. It runs as a whole, either on a snapshot or inside a commit
group, and nothing of it shows before it is done: it works on a copy of the client's state, its replies are encoded
into its own list, its effects and timings are collected. So it can be thrown away and run again at any moment.

This file knows no sockets, threads or clocks; it is given a data context and a counter of nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyp.clients import REPLY_OFF, REPLY_ON, REPLY_SKIP_NEXT, REPLY_SKIP_NOW, Client, ClientState
from keyp.commands.context import ReadContext, SessionContext, WriteContext
from keyp.commands.effects import Announce, CloseClient, Effect, StopServer
from keyp.commands.server_state import ServerState
from keyp.commands.serving import serve_waiters
from keyp.commands.spec import DENYOOM, NO_MULTI, READ, SESSION, Args, CommandSpec
from keyp.commands.waiters import Waiter
from keyp.errors import CommandError
from keyp.events import KEYEVENT, KEYSPACE, Event
from keyp.resp.encoder import encode_in_slices, encode_into
from keyp.resp.values import NO_REPLY, Reply, ReplyError, Several, Wait

# Commands that are carried out at once even while a MULTI is collecting.
NEVER_QUEUED: Final = frozenset(("MULTI", "EXEC", "DISCARD", "WATCH", "QUIT", "RESET"))

# What a client that listens to channels may call in RESP2, where nothing tells a reply from a message.
FOR_SUBSCRIBERS: Final = frozenset(
    ("SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE", "PING", "QUIT", "RESET")
)
NOT_FOR_SUBSCRIBERS: Final = (
    "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
)

# A read with more arguments than this does not run on the reactor's thread.
MANY_ARGUMENTS: Final = 1024


# Bytes of replies at which a batch ends early, so that a short pipeline of requests cannot ask for all of memory.
REPLIES_MAX: Final = 1 << 20


class NeedsWriter(Exception):
    """A write was met outside the writer's transaction; the batch is to be run again, inside it."""


class Call:
    """One request: the command it calls, or the error that it is, and what the statistics are told of it.

    `spec` is None for an unknown command. A call that was `rejected` never ran.
    """

    def __init__(self, args: Args, spec: CommandSpec | None, refusal: str) -> None:
        self.args = args
        self.spec = spec
        self.refusal = refusal
        self.error = ""
        self.nanoseconds = 0
        self.rejected = False


class Batch:
    """The calls of one chunk, the way they have to take, and what came of them.

    `writes` and `walks` say where the batch belongs: to the writer, or to a thread of the reader pool. `simple` means
    that no call can change the client's state. After a run, `replies` holds encoded bytes; `done` is called with the
    batch when they may leave. `rest` are the last requests, which have not run because the replies were many by then,
    or because the client waits for a key. `waiter` is its place in the line then; when the waiting is over the batch is
    done once more, with the reply to the command that waited.
    """

    def __init__(
        self, server: ServerState, client: Client, requests: list[Args], done: Callable[[Batch], None]
    ) -> None:
        self.server = server
        self.client = client
        self.done = done
        self.calls: list[Call] = []
        self.writes = False
        self.walks = False
        self.simple = client.state.queue is None and client.state.reply_mode == REPLY_ON
        self.has_waited = False  # for the store to be opened anew; it does so once
        self._resolve(requests)
        self._begin()

    def _begin(self) -> None:
        """Forgets what an earlier run has left."""
        self._has_run = False
        self.state = self.client.state
        self.replies: list[bytes] = []
        self.rest: list[Args] = []
        self.effects: list[Effect] = []
        self._asked_at: list[tuple[int, int]] = []  # for each effect: the place in `replies` of the call that asked
        self._pushes: list[tuple[int, bytes]] = []  # what the client gets besides, and the place in `replies` for it
        self.done_calls: list[Call] = []  # in the order in which they ended; those that EXEC has run are among them
        self.hits = 0
        self.misses = 0
        self.ends_connection = False
        self.waiter: Waiter | None = None

    def _resolve(self, requests: list[Args]) -> None:
        resolve = self.server.registry.resolve
        queueing = self.client.state.queue is not None
        for args in requests:
            try:
                spec = resolve(args)
            except CommandError as error:
                found = self.server.registry.find(args)
                self.calls.append(Call(args, found, error.text))
                if found is not None and found.name == "EXEC":
                    self.simple = False
                continue
            self.calls.append(Call(args, spec, ""))
            if spec.kind == SESSION:
                self.simple = False
                if spec.name == "MULTI":
                    queueing = True
                elif spec.name == "EXEC":
                    self.writes = self.writes or self._queue_writes()
                    queueing = False
                elif spec.name in NEVER_QUEUED:
                    queueing = False
            elif spec.is_write and not queueing:
                self.writes = True
            if spec.walks or len(args) > MANY_ARGUMENTS:
                self.walks = True

    def _queue_writes(self) -> bool:
        """Whether an EXEC in this batch would write: what was queued before, or what this batch queues itself."""
        state = self.client.state
        queued = [spec for spec, _ in (state.queue or [])[: state.queued]]
        return any(spec.is_write for spec in queued + [call.spec for call in self.calls if call.spec is not None])

    def run(self, data: ReadContext, nanoseconds: Callable[[], int], breathe: Callable[[], None] | None = None) -> None:
        """Answers every call on `data`. `breathe` is called now and then while long replies are encoded.

        Raises `NeedsWriter` where a write meets a snapshot, and whatever a defective command raises; the batch has
        then changed nothing outside itself and may be run again.
        """
        if self._has_run:
            self._begin()
        self._has_run = True
        if not self.simple:
            self.state = self.client.state.copy()
        lookups = data.transaction
        hits, misses = lookups.hits, lookups.misses
        Run(self, data, nanoseconds, breathe).answer_all()
        self.hits, self.misses = lookups.hits - hits, lookups.misses - misses

    def replied(self, start: int) -> None:
        """The reply of one call stands in `replies` from `start` on: the effects it asked for are known by that."""
        self._asked_at += [(start, len(self.replies))] * (len(self.effects) - len(self._asked_at))

    def push(self, index: int, data: bytes) -> None:
        """The client itself gets a message, behind the reply of the call that asked for an effect."""
        self._pushes.append((self._asked_at[index][1], data))

    def place_pushes(self) -> None:
        """Puts the messages among the replies. They are about to leave."""
        if not self._pushes:
            return
        placed: list[bytes] = []
        at = 0
        for place, data in self._pushes:
            placed += self.replies[at:place]
            placed.append(data)
            at = place
        self.replies = placed + self.replies[at:]
        self._pushes = []

    def effect_failed(self, index: int, text: str) -> None:
        """The call that asked for an effect gets an error in place of its reply; the others keep theirs."""
        start, end = self._asked_at[index]
        if start < end:
            error: list[bytes] = []
            encode_into(error, ReplyError(text), self.state.protocol)
            self.replies[start:end] = [b"".join(error)] + [b""] * (end - start - 1)

    def end_wait(self) -> None:
        """What the client has waited for is here: the reply to the command that waited takes the place of `replies`."""
        waiter = self.waiter
        assert waiter is not None
        self.waiter = None
        self.replies = []
        if self.state.reply_mode == REPLY_ON:
            encode_into(self.replies, waiter.reply, self.state.protocol)
        elif self.state.reply_mode == REPLY_SKIP_NOW:
            self.state.reply_mode = REPLY_ON

    def refuse(self, text: str) -> None:
        """Gives every call the same error: the batch could not be run or not be committed, nothing of it applies."""
        self._begin()
        if self.state.reply_mode == REPLY_OFF:
            return
        for call in self.calls:
            encode_into(self.replies, ReplyError(text), self.state.protocol)
            if call.spec is not None:
                call.error, call.nanoseconds, call.rejected = text, 0, False
                self.done_calls.append(call)


class Run:
    """One run of a batch on one data context."""

    def __init__(
        self, batch: Batch, data: ReadContext, nanoseconds: Callable[[], int], breathe: Callable[[], None] | None
    ) -> None:
        self.breathe = breathe
        self.batch = batch
        self.data = data
        self.writing = data.writing if isinstance(data, WriteContext) else None
        self.nanoseconds = nanoseconds
        self.read_at = nanoseconds()  # where one call ends the next begins: one look at the counter for each
        self.state: ClientState = batch.state
        self._session: SessionContext | None = None
        self._events: list[Event] = data.transaction.events  # what the call that runs does to keys
        data.select(self.state.database)

    def answer_all(self) -> None:
        """Runs the calls in order until the last, until the replies are many, or until one ends the connection."""
        batch = self.batch
        replies = batch.replies
        size = 0
        for index, call in enumerate(batch.calls):
            reply = self._answer(call)
            if isinstance(reply, Wait):
                self._wait(call, reply, index)
                break
            if self.writing is not None and (self.writing.ready or self.writing.swapped):
                self._serve_waiters()
            start = len(replies)
            if batch.simple:
                self._encode(reply)
                if batch.effects:
                    batch.replied(start)
            else:
                self._reply(reply)
                batch.replied(start)
                if batch.ends_connection:
                    break
            size += len(reply) if isinstance(reply, bytes) else sum([len(chunk) for chunk in replies[start:]])
            if size > REPLIES_MAX:
                batch.rest = [later.args for later in batch.calls[index + 1 :]]
                break

    def _encode(self, reply: Reply) -> None:
        if self.breathe is None:
            encode_into(self.batch.replies, reply, self.state.protocol)
        else:
            encode_in_slices(self.batch.replies, reply, self.state.protocol, self.breathe)

    def _wait(self, call: Call, wait: Wait, index: int) -> None:
        """The batch ends here for now: its client waits for a key."""
        batch = self.batch
        assert call.spec is not None
        batch.replied(len(batch.replies))
        waiter = Waiter(batch.client, batch, call.spec, call.args, self.data.selected, wait)
        waiter.nanoseconds = call.nanoseconds
        batch.waiter = waiter
        batch.rest = [later.args for later in batch.calls[index + 1 :]]
        batch.server.waiting.join(waiter)

    def _serve_waiters(self) -> None:
        assert isinstance(self.data, WriteContext)
        serve_waiters(self.data, self.batch.server.waiting)
        if self._events:
            self._take_events()
        self.read_at = self.nanoseconds()

    def _reply(self, reply: Reply) -> None:
        """Adds a reply, unless CLIENT REPLY says that none is wanted: then only what counts as pushes."""
        mode = self.state.reply_mode
        if mode == REPLY_ON:
            self._encode(reply)
            return
        for part in reply if isinstance(reply, list) else [reply]:
            if isinstance(part, Several):
                encode_into(self.batch.replies, part, self.state.protocol)
        if mode == REPLY_SKIP_NEXT:
            self.state.reply_mode = REPLY_SKIP_NOW
        elif mode == REPLY_SKIP_NOW:
            self.state.reply_mode = REPLY_ON

    def _answer(self, call: Call) -> Reply:
        spec = call.spec
        if spec is None or call.refusal:
            return self._reject(call, call.refusal)
        if self.state.is_subscriber and self.state.protocol == 2 and spec.name not in FOR_SUBSCRIBERS:
            return self._reject(call, NOT_FOR_SUBSCRIBERS.format(spec.full_name))
        if self.state.queue is not None and spec.name not in NEVER_QUEUED:
            return self._queue(call, spec)
        return self._invoke(call, spec)

    def _reject(self, call: Call, error: str) -> Reply:
        if call.spec is not None and call.spec.name == "EXEC":
            # An EXEC that is refused ends its transaction all the same, as in the reference.
            self.state.end_transaction()
            error = "EXECABORT Transaction discarded because of: " + error.removeprefix("ERR ")
        elif self.state.queue is not None:
            self.state.queue_broken = True
        call.error, call.nanoseconds, call.rejected = error, 0, True
        self.batch.done_calls.append(call)
        return ReplyError(error)

    def _queue(self, call: Call, spec: CommandSpec) -> Reply:
        state, args = self.state, call.args
        assert state.queue is not None
        if spec.flags & NO_MULTI:
            return self._reject(call, "ERR Command not allowed inside a transaction")
        del state.queue[state.queued :]  # what an earlier run of this batch may have put there
        state.queue.append((spec, args))
        state.queued += 1
        state.queue_bytes += sum([len(arg) for arg in args])
        if state.queue_bytes > self.batch.server.settings.client_query_buffer_limit:
            self.batch.ends_connection = True
            return NO_REPLY
        return "QUEUED"

    def invoke(self, spec: CommandSpec, args: Args) -> Reply:
        """Runs one command inside another one's call (EXEC). Errors as in a call of its own."""
        call = Call(args, spec, "")
        reply = self._invoke(call, spec)
        if isinstance(reply, Wait):  # a transaction does not wait
            self.batch.done_calls.append(call)
            reply = reply.otherwise
        return reply

    def _invoke(self, call: Call, spec: CommandSpec) -> Reply:
        """Runs one command now. Its `CommandError` becomes an error reply; other exceptions are left to rise."""
        started = self.read_at
        call.error = ""
        call.rejected = False
        reply: Reply
        try:
            reply = self._execute(spec, call.args)
        except CommandError as refusal:
            call.error = refusal.text
            reply = ReplyError(refusal.text)
        self.read_at = self.nanoseconds()
        call.nanoseconds = self.read_at - started
        if not isinstance(reply, Wait):  # which is counted when it is over
            self.batch.done_calls.append(call)
        if self._events:
            self._take_events()
        if spec.kind == SESSION:
            self._collect_effects()
        return reply

    def _execute(self, spec: CommandSpec, args: Args) -> Reply:
        function = spec.function
        assert function is not None
        if spec.kind == READ:
            return function(self.data, args)
        if spec.kind == SESSION:
            return function(self._session_context(), args)
        writing = self.writing
        if writing is None:
            if self.batch.server.write_refusal:
                raise CommandError(self.batch.server.write_refusal)
            raise NeedsWriter
        if writing.growth_refusal and spec.flags & DENYOOM:
            raise CommandError(writing.growth_refusal)
        writing.next_version()
        try:
            return function(self.data, args)
        finally:
            writing.in_write = False

    def _session_context(self) -> SessionContext:
        context = self._session
        if context is None:
            batch = self.batch
            context = self._session = SessionContext(batch.client, self.state, batch.server, self.data)
            context.invoke = self.invoke
        return context

    def _take_events(self) -> None:
        """What a call has done to keys is announced in its place among the effects."""
        targets = self.data.transaction.wanted_events & (KEYSPACE | KEYEVENT)
        self.batch.effects.append(Announce(self.state.protocol, self._events.copy(), targets))
        self._events.clear()

    def _collect_effects(self) -> None:
        context = self._session_context()
        for effect in context.effects:
            if isinstance(effect, CloseClient) and effect.client_id == self.batch.client.id:
                self.batch.ends_connection = True
            else:
                self.batch.effects.append(effect)
                self.batch.ends_connection = self.batch.ends_connection or isinstance(effect, StopServer)
        context.effects = []
