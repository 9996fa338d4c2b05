"""How batches are run, on a snapshot or inside a commit group.

This file knows no sockets, threads or clocks; it is given a data context and a counter of nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyp.command.access_control import refusal, refusal_in_exec
from keyp.command.blocked_clients import BlockedClient
from keyp.command.context import ReadContext, SessionContext, WriteContext
from keyp.command.effects import Announce, CloseClient, LookAtUser, PauseClients, Publish, StopServer, WarnOfHttp
from keyp.command.spec import (
    FOR_SUBSCRIBERS,
    NO_MULTI,
    NOT_QUEUED,
    READ,
    RUNS_QUEUE,
    RUNS_SCRIPT,
    SESSION,
    WRITE,
    Args,
    CommandSpec,
)
from keyp.errors import EXEC_REFUSED, CommandError
from keyp.events import KEYEVENT, KEYSPACE
from keyp.execution.apply import apply
from keyp.execution.batch import Batch, Call, is_http
from keyp.execution.serve_blocked import serve_blocked
from keyp.resp.encoder import encode_in_slices, encode_into
from keyp.resp.values import NO_REPLY, Reply, ReplyError, Several, Wait
from keyp.server.clients import REPLY_ON, REPLY_SKIP_NEXT, REPLY_SKIP_NOW, ClientState
from keyp.server.pubsub import CHANNEL
from keyp.storage.lmdb.errors import refusal as store_refusal
from keyp.storage.lmdb.errors import spoils_transaction

NOT_FOR_SUBSCRIBERS: Final = (
    "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
)

# Bytes of replies at which a batch ends early, so that a short pipeline of requests cannot ask for all of memory.
REPLIES_MAX: Final = 1 << 20

# And messages to those who listen, which take up to a microsecond each when the batch is done: others are served in
# between. At least this part of the batch runs all the same, because the commands of its rest are looked up again, but
# not where that is little beside the messages.
MESSAGES_MAX: Final = 1000
PART_MIN: Final = 8
MESSAGES_BEYOND: Final = 16 * MESSAGES_MAX


RUNS_OTHERS: Final = RUNS_QUEUE | RUNS_SCRIPT  # commands that run others, which may write
POINTER: Final = 8  # bytes, of each argument that is queued


class NeedsWriter(Exception):
    """A write was met outside the writer's transaction; the batch is to be run again, inside it."""


class Executor:
    """Runs batches, one after the other, on one data context.

    `breathe` is called now and then while long replies are encoded. With `complain`, which is given the exception, a
    defect in a call that writes nothing costs that call alone; without, it ends the run like any other.
    """

    _batch: Batch
    _state: ClientState

    def __init__(
        self,
        data: ReadContext,
        nanoseconds: Callable[[], int],
        breathe: Callable[[], None] | None = None,
        complain: Callable[[Exception], None] | None = None,
    ) -> None:
        self.data = data
        self._nanoseconds = nanoseconds
        self._breathe = breathe
        self._complain = complain
        self._read_at = 0  # where one call ends the next begins: one look at the counter for each
        self._context: SessionContext | None = None

    def run(self, batch: Batch) -> None:
        """Answers every call of a batch: in order until the last, until the replies are many, or until one ends it.

        Raises `NeedsWriter` where a write meets a snapshot, and whatever a defective command raises. The batch has then
        changed nothing outside itself and may be run again, by another executor.
        """
        batch.begin()
        self._batch = batch
        state = self._state = batch.state
        data = self.data
        transaction = data.transaction
        hits, misses = transaction.hits, transaction.misses
        transaction.touches = not state.no_touch
        if state.database != data.selected:
            data.select(state.database)
        self._read_at = self._nanoseconds()
        replies = batch.replies
        simple = batch.simple
        writer = data if isinstance(data, WriteContext) else None
        size = 0
        for index, call in enumerate(batch.calls):
            spec = call.spec
            if spec is None or call.refusal:
                reply = self._reject(call, call.refusal)
            elif simple:
                reply = self._invoke(call, spec)
            else:
                reply = self._answer(call, spec)
            if writer is not None:
                if isinstance(reply, Wait):
                    self._wait(call, reply, index)
                    break
                if writer.writing.ready or writer.writing.swapped:
                    serve_blocked(writer, batch.server.blocked_clients, state.users, self._read_at)
                    if transaction.events:
                        self._take_events()
                    self._read_at = self._nanoseconds()
            elif isinstance(reply, Wait):
                reply = self._refused_wait(call)
            start = len(replies)
            if simple and self._breathe is None:
                encode_into(replies, reply, state.protocol)
            else:
                self._reply(reply)
            stop = len(replies)
            if batch.pending is not None:
                batch.pending.replied(start, stop)
                if batch.pending.pauses and not batch.ends_connection:
                    self._leave_rest(index + 1)
                    break
            if batch.ends_connection:
                break
            size += len(replies[start]) if stop == start + 1 else sum([len(chunk) for chunk in replies[start:]])
            if size > REPLIES_MAX or (batch.messages > MESSAGES_MAX and self._has_sent_much(index)):
                self._leave_rest(index + 1)
                break
        self._context = None  # it refers to this executor
        batch.hits, batch.misses = transaction.hits - hits, transaction.misses - misses

    def _has_sent_much(self, index: int) -> bool:
        """Whether the calls up to `index` are enough for now, because of the messages that they send."""
        batch = self._batch
        return index >= len(batch.calls) // PART_MIN or batch.messages > MESSAGES_BEYOND

    def _leave_rest(self, index: int) -> None:
        """The calls from `index` on do not run."""
        batch = self._batch
        if batch.simple:
            batch.done_calls = batch.calls[:index]
        batch.rest = [later.args for later in batch.calls[index:]]

    def _encode(self, reply: Reply) -> None:
        if self._breathe is None:
            encode_into(self._batch.replies, reply, self._state.protocol)
        else:
            encode_in_slices(self._batch.replies, reply, self._state.protocol, self._breathe)

    def _wait(self, call: Call, wait: Wait, index: int) -> None:
        """The batch ends here for now: its client is blocked."""
        batch = self._batch
        assert call.spec is not None
        if batch.pending is not None:
            batch.pending.replied(len(batch.replies), len(batch.replies))
        blocked = BlockedClient(batch.client, batch, call.spec, call.args, self.data.selected, wait)
        blocked.nanoseconds = call.nanoseconds
        batch.blocked = blocked
        if index + 1 < len(batch.calls):
            self._leave_rest(index + 1)
        if batch.simple:
            batch.done_calls = batch.calls[:index]  # it is counted itself when its waiting is over
        batch.server.blocked_clients.join(blocked)

    def _refused_wait(self, call: Call) -> Reply:
        """The reply to a read that is to wait, where writes are refused.

        Raises `NeedsWriter` where they are not: the table of blocked clients belongs to the writer while a group runs.
        """
        refused = self._batch.server.write_refusal
        if not refused:
            raise NeedsWriter
        call.error = refused
        self._ended(call)
        return ReplyError(refused)

    def _reply(self, reply: Reply) -> None:
        """Adds a reply, unless CLIENT REPLY says that none is wanted: then only what counts as pushes."""
        mode = self._state.reply_mode
        if mode == REPLY_ON:
            self._encode(reply)
            return
        for part in reply if isinstance(reply, list) else [reply]:
            if isinstance(part, Several):
                encode_into(self._batch.replies, part, self._state.protocol)
        if mode == REPLY_SKIP_NEXT:
            self._state.reply_mode = REPLY_SKIP_NOW
        elif mode == REPLY_SKIP_NOW:
            self._state.reply_mode = REPLY_ON

    def _answer(self, call: Call, spec: CommandSpec) -> Reply:
        """Runs one call of a batch that is not simple."""
        if self._state.is_subscriber and self._state.protocol == 2 and not spec.flags & FOR_SUBSCRIBERS:
            return self._reject(call, NOT_FOR_SUBSCRIBERS.format(spec.full_name))
        users = self._state.users
        if users is not None or not self._batch.server.users.is_open:
            refused = self._refusal(spec, call.args)
            if refused:
                return self._reject(call, refused)
        if self._state.queue is not None and not spec.flags & NOT_QUEUED:
            return self._queue(call, spec)
        return self._invoke(call, spec)

    def _refusal(self, spec: CommandSpec, args: Args) -> str:
        """The error for what the client's user may not do; empty where he may."""
        context = self._session_context()
        refused = refusal(context, spec, args)
        self._collect_effects()
        return refused

    def _reject(self, call: Call, error: str) -> Reply:
        if call.spec is None and is_http(call.args):
            return self._hang_up()
        if call.spec is not None and call.spec.flags & RUNS_QUEUE:
            # An EXEC that is refused ends its transaction all the same, as in Redis.
            self._state.end_transaction()
            error = EXEC_REFUSED + error.removeprefix("ERR ")
        elif self._state.queue is not None:
            self._state.queue_broken = True
        call.error, call.nanoseconds, call.rejected = error, 0, True
        self._ended(call)
        return ReplyError(error)

    def _hang_up(self) -> Reply:
        """Ends the connection without another word, whatever is being queued or listened to."""
        batch = self._batch
        pending = batch.pending_effects()
        pending.effects.append(WarnOfHttp(batch.client.address))
        pending.is_silent = True
        batch.ends_connection = True
        return NO_REPLY

    def _queue(self, call: Call, spec: CommandSpec) -> Reply:
        state, args = self._state, call.args
        assert state.queue is not None
        if spec.flags & NO_MULTI:
            return self._reject(call, "ERR Command not allowed inside a transaction")
        if state.queue_broken:
            return "QUEUED"  # and is not, for EXEC will run none of them
        del state.queue[state.queued :]  # what an earlier run of this batch may have put there
        state.queue.append((spec, args))
        state.queued += 1
        state.queue_bytes += sum([len(arg) for arg in args]) + POINTER * len(args)
        state.queue_arguments += len(args)
        if state.queue_bytes > self._batch.server.settings.client_query_buffer_limit:
            self._batch.ends_connection = True
            return NO_REPLY
        return "QUEUED"

    def _ended(self, call: Call) -> None:
        """Of a simple batch it is known which calls have ended: all that stand before its rest."""
        if not self._batch.simple:
            self._batch.done_calls.append(call)

    def invoke(self, spec: CommandSpec, args: Args) -> Reply:
        """Runs one command inside another one's call (EXEC). Errors as in a call of its own."""
        call = Call(args, spec, "")
        context = self._session_context()
        if not context.users.is_open:
            call.error = refusal_in_exec(context, spec, args)
            if call.error:
                self._ended(call)
                return ReplyError(call.error)
        reply = self._invoke(call, spec)
        if isinstance(reply, Wait):  # a transaction does not wait
            self._ended(call)
            reply = reply.otherwise
        return reply

    def invoke_in_script(self, spec: CommandSpec, args: Args) -> Reply:
        """Runs one command that a script calls, of which there may be millions: only their number and time is kept.

        An error is the reply; but what is no `CommandError` leaves the script, and is raised.
        """
        started = self._read_at
        data = self.data
        function = spec.function
        failed = False
        reply: Reply
        try:
            if spec.access == WRITE:
                if not isinstance(data, WriteContext):
                    raise self._why_no_write()
                reply = apply(data, spec, args)
            else:
                assert function is not None
                reply = function(data if spec.access == READ else self._session_context(), args)
        except CommandError as error:
            failed = True
            reply = ReplyError(error.text)
        self._read_at = self._nanoseconds()
        self._batch.count_in_script(spec.full_name, self._read_at - started, failed)
        if data.transaction.events:
            self._take_events()
        if spec.access == SESSION:
            self._collect_effects()
        return reply.otherwise if isinstance(reply, Wait) else reply

    def _invoke(self, call: Call, spec: CommandSpec) -> Reply:
        """Runs one command now. Its `CommandError` becomes an error reply; most other exceptions are left to rise."""
        started = self._read_at
        data = self.data
        call.error = ""
        call.rejected = False
        function = spec.function
        reply: Reply
        try:
            if spec.access != WRITE:
                assert function is not None
                reply = function(data if spec.access == READ else self._session_context(), call.args)
            elif isinstance(data, WriteContext):
                reply = apply(data, spec, call.args)
            else:
                raise self._why_no_write()
        except CommandError as error:
            call.error = error.text
            reply = ReplyError(error.text)
        except Exception as defect:
            if not self._is_contained(spec, defect):
                raise
            call.error = store_refusal(defect)
            reply = ReplyError(call.error)
        self._read_at = self._nanoseconds()
        call.nanoseconds = self._read_at - started
        if not self._batch.simple and not isinstance(reply, Wait):  # which is counted when it is over
            self._batch.done_calls.append(call)
        if data.transaction.events:
            self._take_events()
        if spec.access == SESSION:
            self._collect_effects()
        return reply

    def _is_contained(self, spec: CommandSpec, defect: Exception) -> bool:
        """Whether a call that was left by a defect has changed no data, so that the others may go on."""
        if self._complain is None or spec.access == WRITE or spec.flags & RUNS_OTHERS or spoils_transaction(defect):
            return False
        self._complain(defect)
        if self._context is not None:
            self._context.effects = []
        return True

    def _why_no_write(self) -> Exception:
        refused = self._batch.server.write_refusal
        return CommandError(refused) if refused else NeedsWriter()

    def _session_context(self) -> SessionContext:
        context = self._context
        if context is None:
            batch = self._batch
            context = self._context = SessionContext(batch.client, self._state, batch.server, self.data)
            context.invoke = self.invoke
            context.breathe = self._breathe
            context.invoke_in_script = self.invoke_in_script
            context.nanoseconds = self._nanoseconds
            context.now_ns = self._read_at
        return context

    def _take_events(self) -> None:
        """What a call has done to keys is announced in its place among the effects."""
        transaction = self.data.transaction
        targets = transaction.wanted_events & (KEYSPACE | KEYEVENT)
        batch = self._batch
        batch.pending_effects().effects.append(Announce(self._state.protocol, transaction.events.copy(), targets))
        batch.messages += len(transaction.events) * batch.server.pubsub.comparisons(CHANNEL)
        transaction.events.clear()

    def _collect_effects(self) -> None:
        context = self._session_context()
        for effect in context.effects:
            if isinstance(effect, CloseClient) and effect.client_id == self._batch.client.id:
                self._batch.ends_connection = True
            else:
                self._batch.pending_effects().effects.append(effect)
                if isinstance(effect, Publish):
                    self._batch.messages += effect.work
                elif isinstance(effect, LookAtUser):
                    self._batch.messages += sum(self._state.subscriptions)
                elif isinstance(effect, PauseClients) and effect.milliseconds > 0:
                    self._batch.pending_effects().pauses = True
                self._batch.ends_connection = self._batch.ends_connection or isinstance(effect, StopServer)
        context.effects = []
