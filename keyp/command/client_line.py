"""A client's line in CLIENT LIST: every field of Redis 7.2, in its order. What Keyp does not have is 0.

qbuf       bytes of a request that is not complete yet; Python keeps no room free behind them
argv-mem   bytes of the arguments of the call that asks; of others, of requests that run or wait, if they are large
multi-mem  bytes of the queued calls' arguments, and a pointer for each
oll, omem  replies and messages that the socket has not taken: whether there are any, and how many bytes
tot-mem    the client's memory: these, what it watches and listens to, and all that Python puts around them
"""

from __future__ import annotations

from keyp.command.context import SECOND_NS, SessionContext
from keyp.command.spec import Args
from keyp.errors import CommandError
from keyp.server.client_memory import total
from keyp.server.clients import Client, ClientState
from keyp.server.pubsub import CHANNEL, PATTERN, SHARD


def describe(context: SessionContext, client: Client, call: Args) -> bytes:
    """The line of a client, without a line break. `call` is the one that asks, `CLIENT|INFO` or `CLIENT|LIST`."""
    asks = client is context.client
    state = context.state if asks else client.state
    in_exec = asks and context.exec_calls > 0
    if in_exec:
        call = [b"exec"]
    memory = total(client, state)
    queued = context.exec_calls if in_exec else -1 if state.queue is None else state.queued
    queue_bytes = context.exec_bytes if in_exec else state.queue_bytes
    argument_bytes = sum([len(arg) for arg in call]) if asks else client.request_bytes
    if asks:
        memory += argument_bytes - client.request_bytes + queue_bytes - state.queue_bytes
    fields: list[tuple[str, object]] = [
        ("id", client.id),
        ("addr", client.address),
        ("laddr", client.local_address),
        ("fd", client.fd),
        ("name", state.name.decode("ascii")),
        ("age", max(0, context.now_ns - client.connected_ns) // SECOND_NS),
        ("idle", 0 if asks else max(0, context.now_ns - client.last_seen_ns) // SECOND_NS),
        ("flags", _flags(context, client, state, queued)),
        ("db", state.database),
        ("sub", state.subscriptions[CHANNEL]),
        ("psub", state.subscriptions[PATTERN]),
        ("ssub", state.subscriptions[SHARD]),
        ("multi", queued),
        ("qbuf", client.input_buffered),
        ("qbuf-free", 0),
        ("argv-mem", argument_bytes),
        ("multi-mem", queue_bytes),
        ("rbs", 0),
        ("rbp", 0),
        ("obl", 0),
        ("oll", 1 if client.output_buffered else 0),
        ("omem", client.output_buffered),
        ("tot-mem", memory),
        ("events", "rw" if client.output_buffered else "r"),
        ("cmd", b"|".join(call[:2]).decode().lower() if asks else client.last_command),
        ("user", state.user.decode("latin-1")),
        ("redir", -1),
        ("resp", state.protocol),
        ("lib-name", state.lib_name.decode("ascii")),
        ("lib-ver", state.lib_version.decode("ascii")),
    ]
    return " ".join([f"{name}={value}" for name, value in fields]).encode()


def _flags(context: SessionContext, client: Client, state: ClientState, queued: int) -> str:
    flags = "P" if state.is_subscriber else ""
    flags += "x" if queued >= 0 else ""
    flags += "b" if client.waiting else ""
    flags += "d" if state.watched and _has_lost(context, state) else ""
    flags += "U" if client.is_unix else ""
    flags += "e" if state.no_evict else ""
    flags += "T" if state.no_touch else ""
    return flags or "N"


def _has_lost(context: SessionContext, state: ClientState) -> bool:
    """Whether an EXEC would be called off because a watched key has changed."""
    try:
        return context.data.has_changed(state.watched)
    except CommandError:  # the key is damaged
        return True
