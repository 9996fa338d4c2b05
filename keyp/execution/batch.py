"""The requests of one chunk of a connection's bytes, and the way they have to take.

A batch runs as a whole (`executor.py`), either on a snapshot or inside a commit group, and nothing of it shows before
it is done: its replies are encoded into its own list, its effects and timings are collected, a change of the client's
state is a change of a copy. So it can be thrown away and run again at any moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyp.command.blocked_clients import BlockedClient
from keyp.command.protection import refusal
from keyp.command.server_state import ServerState
from keyp.command.spec import (
    ALLOW_BUSY,
    BEGINS_QUEUE,
    MAY_REPLICATE,
    NOT_QUEUED,
    PROTECTED,
    RUNS_QUEUE,
    RUNS_SCRIPT,
    SESSION,
    Args,
    CommandSpec,
)
from keyp.errors import CommandError
from keyp.execution.pending_effects import PendingEffects
from keyp.resp.encoder import encode_into
from keyp.resp.values import ReplyError
from keyp.server.clients import REPLY_OFF, REPLY_ON, REPLY_SKIP_NOW, Client

# What a browser sends in a place where Redis has a command's name.
HTTP_WORDS: Final = frozenset((b"post", b"host:"))

# A read with more arguments than this does not run on the reactor's thread.
MANY_ARGUMENTS: Final = 1024


def is_http(args: Args) -> bool:
    """Whether a request is none of Redis's but a line of HTTP."""
    return args[0].lower() in HTTP_WORDS


def may_replicate(spec: CommandSpec) -> bool:
    """Whether a command writes or does something that is replicated, so that CLIENT PAUSE WRITE holds it."""
    return spec.is_write or bool(spec.flags & MAY_REPLICATE)


def script_writes(server: ServerState, spec: CommandSpec, args: Args) -> bool:
    """Whether a command runs a script that may write. One that says that it does not is known by its first argument."""
    if not spec.flags & RUNS_SCRIPT or spec.walks:
        return False
    return len(args) < 2 or not server.scripts.reads_only(args[1])


class Call:
    """One request: the command it calls, or the error that it is, and what the statistics need of it.

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

    `writes` and `walks` say where the batch belongs: to the writer, or to a thread of the reader pool. `runs_scripts`
    means that some of its calls run scripts; one that `is_apart` has a commit group of its own. `simple` means that the
    client's state neither is changed by a call nor changes what a call does. After a run, `replies` holds
    encoded bytes; `done` is called with the batch when they may leave. `done_calls` are the calls that have ended, in
    that order; those that EXEC has run are among them. `rest` are the last requests, which have not run because the
    replies, or the `messages` to others, were many by then, or because the client is blocked. `blocked` is its
    place in the queue then; when the waiting is over the batch is done once more, with the reply to the command that
    waited. `held` are the requests behind the rest, which CLIENT PAUSE WRITE has cut off.
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
        self.runs_scripts = False
        self.is_apart = False
        state = client.state
        self.simple = (
            state.queue is None
            and state.reply_mode == REPLY_ON
            and not (state.is_subscriber and state.protocol == 2)
            and server.users.is_open
        )
        self.held: list[Args] | None = None
        self.has_waited = False  # for the store to be opened anew; it does so once
        registry = server.registry
        queueing = state.queue is not None
        for args in requests:
            try:
                spec = registry.resolve(args)
            except CommandError as error:
                found = registry.find(args)
                self.calls.append(Call(args, found, error.text))
                if is_http(args) if found is None else found.flags & RUNS_QUEUE:
                    self.simple = False
                continue
            call = Call(args, spec, "")
            self.calls.append(call)
            if spec.access == SESSION:
                self.simple = False
                if spec.flags & PROTECTED:
                    call.refusal = refusal(server, client, spec)
                elif spec.flags & BEGINS_QUEUE:
                    queueing = True
                elif spec.flags & RUNS_QUEUE:
                    self.writes = self.writes or self._queue_writes()
                    queueing = False
                elif spec.flags & NOT_QUEUED:
                    queueing = False
                elif spec.flags & RUNS_SCRIPT:
                    self.runs_scripts = True
                    self.walks = True  # where nothing may be written now; never on the reactor's thread
                    self.writes = self.writes or (not queueing and script_writes(server, spec, args))
            elif spec.is_write and not queueing:
                self.writes = True
            if spec.walks or len(args) > MANY_ARGUMENTS:
                self.walks = True

    def begin(self) -> None:
        """Forgets what an earlier run has left; a run begins.

        A batch that has waited (CLIENT PAUSE) may meet users who may no longer do everything.
        """
        if self.simple and not self.server.users.is_open:
            self.simple = False
        self.state = self.client.state if self.simple else self.client.state.copy()
        self.replies: list[bytes] = []
        self.rest: list[Args] = []
        self.done_calls: list[Call] = self.calls if self.simple else []
        self.pending: PendingEffects | None = None
        self.blocked: BlockedClient | None = None
        self.ends_connection = False
        self.in_scripts: dict[str, list[int]] = {}  # what scripts have called: how often, how long, and errors
        self.messages = 0  # that the calls send to those who listen, or what takes as long
        self.hits = 0
        self.misses = 0

    def count_in_script(self, name: str, nanoseconds: int, failed: bool) -> None:
        """A script has called a command, which took so long."""
        counts = self.in_scripts.get(name)
        if counts is None:
            counts = self.in_scripts[name] = [0, 0, 0]
        counts[0] += 1
        counts[1] += nanoseconds
        if failed:
            counts[2] += 1

    def _queue_writes(self) -> bool:
        """Whether an EXEC in this batch would write: what was queued before, or what this batch queues itself."""
        for spec, args in self._queued_and_called():
            if spec.flags & RUNS_SCRIPT:
                self.walks = self.runs_scripts = True
            if spec.is_write or script_writes(self.server, spec, args):
                return True
        return False

    def _queued_and_called(self) -> list[tuple[CommandSpec, Args]]:
        state = self.client.state
        queued: list[tuple[CommandSpec, Args]] = (state.queue or [])[: state.queued]
        return queued + [(call.spec, call.args) for call in self.calls if call.spec is not None]

    def runs_slow_scripts(self) -> bool:
        """Whether it calls a script that has been slow before."""
        slow, called = self.server.scripts.slow, self._queued_and_called()
        return any(spec.flags & RUNS_SCRIPT and len(args) > 1 and hash(args[1]) in slow for spec, args in called)

    def refuse_while_busy(self, error: str) -> None:
        """A script runs for too long: only the calls run that need not wait for it. The batch needs no writer then."""
        self.writes = self.walks = False
        for call in self.calls:
            if call.spec is not None and not call.refusal and not call.spec.flags & ALLOW_BUSY:
                call.refusal = error
                self.simple = False

    def hold_writes(self) -> bool:
        """Whether CLIENT PAUSE WRITE holds all of the batch. Where it holds a part, that is cut off."""
        state = self.client.state
        queued = [spec for spec, _ in (state.queue or [])[: state.queued]]
        for index, call in enumerate(self.calls):
            spec = call.spec
            if spec is None or call.refusal:
                continue
            if may_replicate(spec) or (spec.flags & RUNS_QUEUE and any(may_replicate(each) for each in queued)):
                if index > 0:
                    self.held = [later.args for later in self.calls[index:]]
                    del self.calls[index:]
                    self.writes = False
                return index == 0
        return False

    def pending_effects(self) -> PendingEffects:
        """Where the run's effects are collected."""
        if self.pending is None:
            self.pending = PendingEffects()
        return self.pending

    def end_wait(self) -> None:
        """What the client has waited for is here: the reply to the command that waited takes the place of `replies`."""
        blocked = self.blocked
        assert blocked is not None
        self.blocked = None
        self.replies = []
        if self.state.reply_mode == REPLY_ON:
            encode_into(self.replies, blocked.reply, self.state.protocol)
        elif self.state.reply_mode == REPLY_SKIP_NOW:
            self.state.reply_mode = REPLY_ON

    def refuse(self, text: str) -> None:
        """Gives every call the same error: the batch could not be run or not be committed, nothing of it applies.

        But a transaction ends with its EXEC, whatever that replies.
        """
        self.begin()
        self.done_calls = []
        if any(call.spec is not None and call.spec.flags & RUNS_QUEUE for call in self.calls):
            self.state.end_transaction()
        if self.state.reply_mode == REPLY_OFF:
            return
        for call in self.calls:
            encode_into(self.replies, ReplyError(text), self.state.protocol)
            if call.spec is not None:
                call.error, call.nanoseconds, call.rejected = text, 0, False
                self.done_calls.append(call)
