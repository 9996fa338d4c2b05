"""CLIENT: what clients say of themselves, and what an operator may see of the others and do to them.

Everything that touches another connection is asked for as an effect. Lists show clients as they were when the batch
began; the one that asks shows its own state as it is now.
"""

from __future__ import annotations

from typing import Final

from keyp.command.arguments import INT64_MAX, integer, to_int64
from keyp.command.client_line import describe
from keyp.command.context import SessionContext
from keyp.command.effects import CloseClient, EndWait, PauseClients, ResumeClients
from keyp.command.spec import ADMIN, LOADING, NO_MULTI, NOSCRIPT, STALE, Args
from keyp.command.table import CommandTable
from keyp.errors import (
    BAD_TIMEOUT,
    NEGATIVE_TIMEOUT,
    SYNTAX,
    TIMEOUT_TOO_LONG,
    CommandError,
    printable,
    wrong_subcommand,
)
from keyp.resp.values import NO_REPLY, Reply, Verbatim
from keyp.server.clients import REPLY_OFF, REPLY_ON, REPLY_SKIP_NEXT, Client

CLIENT = CommandTable(group="connection", categories="connection")

ORDINARY: Final = NOSCRIPT | LOADING | STALE
ADMINISTER: Final = ADMIN | ORDINARY

TYPES: Final = (b"normal", b"master", b"replica", b"slave", b"pubsub")

BAD_NAME: Final = "ERR Client names cannot contain spaces, newlines or special characters."
NO_SUCH_CLIENT: Final = "ERR No such client"
BAD_ID: Final = "ERR Invalid client ID"
BAD_KILL_ID: Final = "ERR client-id should be greater than 0"
BAD_PAUSE_MODE: Final = "ERR CLIENT PAUSE mode must be WRITE or ALL"
UNBLOCKED: Final = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
BAD_UNBLOCK_REASON: Final = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"

CLIENT.container(
    "CLIENT",
    arity=-2,
    since="2.4.0",
    help_since="5.0.0",
    complexity="Depends on the subcommand.",
    categories="",
    summary="Introduces the subcommands about connections.",
)


def is_plain(text: bytes) -> bool:
    """Whether a text may stand in the list of clients: visible ASCII only."""
    return all(33 <= byte <= 126 for byte in text)


def check_name(name: bytes) -> None:
    """Raises an error for a name that would break the list of clients."""
    if not is_plain(name):
        raise CommandError(BAD_NAME)


@CLIENT.session(
    "CLIENT|ID",
    arity=2,
    flags=ORDINARY,
    since="5.0.0",
    summary="Returns the connection's id.",
)
def client_id(context: SessionContext, args: Args) -> Reply:
    """Replies with the id; no other connection of this run of the server has or will have it."""
    return context.client.id


@CLIENT.session(
    "CLIENT|GETNAME",
    arity=2,
    flags=ORDINARY,
    since="2.6.9",
    summary="Returns the connection's name.",
)
def client_getname(context: SessionContext, args: Args) -> Reply:
    """Replies with the name, null where there is none."""
    return context.state.name or None


@CLIENT.session(
    "CLIENT|SETNAME",
    arity=3,
    flags=ORDINARY,
    since="2.6.9",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
    syntax="connection-name",
    summary="Names the connection; an empty name takes it away.",
)
def client_setname(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    check_name(args[2])
    context.state.name = args[2]
    return "OK"


@CLIENT.session(
    "CLIENT|SETINFO",
    arity=4,
    flags=ORDINARY,
    since="7.2.0",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
    syntax="<LIB-NAME libname | LIB-VER libver>",
    summary="Names the library that the client uses, for the list of clients.",
)
def client_setinfo(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    option = args[2].lower()
    if option not in (b"lib-name", b"lib-ver"):
        raise CommandError(f"ERR Unrecognized option '{printable(args[2])}'")
    if not is_plain(args[3]):
        raise CommandError(f"ERR {printable(args[2])} cannot contain spaces, newlines or special characters.")
    if option == b"lib-name":
        context.state.lib_name = args[3]
    else:
        context.state.lib_version = args[3]
    return "OK"


@CLIENT.session(
    "CLIENT|INFO",
    arity=2,
    flags=ORDINARY,
    since="6.2.0",
    tips=("nondeterministic_output",),
    summary="Shows the connection's line of the list of clients.",
)
def client_info(context: SessionContext, args: Args) -> Reply:
    """Replies with one line of text."""
    context.data.expect(len(context.state.watched))
    return Verbatim(describe(context, context.client, args) + b"\n")


@CLIENT.session(
    "CLIENT|LIST",
    arity=-2,
    flags=ADMINISTER,
    since="2.4.0",
    complexity="O(N) with N the number of connections",
    tips=("nondeterministic_output",),
    syntax="[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
    summary="Lists the connections, a line each.",
)
def client_list(context: SessionContext, args: Args) -> Reply:
    """Replies with text. A client that is about to be disconnected is not shown."""
    clients = context.server.clients.all()
    if len(args) == 4 and args[2].upper() == b"TYPE":
        client_type = _client_type(args[3])
        clients = [client for client in clients if _is_of_type(client, client_type)]
    elif len(args) > 3 and args[2].upper() == b"ID":
        wanted = [integer(text, BAD_ID) for text in args[3:]]
        clients = [client for client in map(context.server.clients.get, wanted) if client is not None]
    elif len(args) > 2:
        raise CommandError(SYNTAX)
    staying = [client for client in clients if client.stays]
    context.data.expect(len(staying) + sum([len(client.state.watched) for client in staying]))
    return Verbatim(b"".join([describe(context, client, args) + b"\n" for client in staying]))


def _client_type(word: bytes) -> bytes:
    client_type = word.lower()
    if client_type not in TYPES:
        raise CommandError(f"ERR Unknown client type '{printable(word)}'")
    return client_type


def _is_of_type(client: Client, client_type: bytes) -> bool:
    """There are no replicas and no master; a client with a subscription is `pubsub` and not `normal`."""
    return client_type == (b"pubsub" if client.state.is_subscriber else b"normal")


class KillFilter:
    """The filter of CLIENT KILL: a client must meet every condition that was given."""

    def __init__(self) -> None:
        self.client_id = 0
        self.address: str | None = None
        self.local_address: str | None = None
        self.client_type = b""  # any
        self.user: bytes | None = None
        self.skip_me = True

    def matches(self, client: Client) -> bool:
        """Whether the client meets the conditions, but for `skip_me`."""
        return (
            self.client_id in (0, client.id)
            and self.address in (None, client.address)
            and self.local_address in (None, client.local_address)
            and self.user in (None, client.state.user)
            and (not self.client_type or _is_of_type(client, self.client_type))
            and client.stays
        )


@CLIENT.session(
    "CLIENT|KILL",
    arity=-3,
    flags=ADMINISTER,
    since="2.4.0",
    complexity="O(N) with N the number of connections",
    syntax="<ip:port | <ID client-id | TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB> | USER username | "
    "ADDR ip:port | LADDR ip:port | SKIPME <YES | NO>> ...>",
    summary="Ends other connections, or one's own.",
)
def client_kill(context: SessionContext, args: Args) -> Reply:
    """Replies OK for the old form with an address alone, else with how many connections were ended."""
    found = _kill_filter(context, args)
    victims = [client for client in context.server.clients.all() if found.matches(client)]
    if found.skip_me:
        victims = [client for client in victims if client is not context.client]
    if len(args) == 3 and not victims:
        raise CommandError(NO_SUCH_CLIENT)
    for client in victims:
        context.after(CloseClient(client.id))
    return "OK" if len(args) == 3 else len(victims)


def _kill_filter(context: SessionContext, args: Args) -> KillFilter:
    found = KillFilter()
    if len(args) == 3:
        found.address = printable(args[2])
        found.skip_me = False
        return found
    for option, value in zip(args[2::2], args[3::2], strict=False):
        _read_kill_option(context, found, option.upper(), value)
    if len(args) % 2:
        raise CommandError(SYNTAX)
    return found


def _read_kill_option(context: SessionContext, found: KillFilter, option: bytes, value: bytes) -> None:
    if option == b"ID":
        client = to_int64(value)
        if client is None or client < 1:
            raise CommandError(BAD_KILL_ID)
        found.client_id = client
    elif option == b"TYPE":
        found.client_type = _client_type(value)
    elif option == b"ADDR":
        found.address = printable(value)
    elif option == b"LADDR":
        found.local_address = printable(value)
    elif option == b"USER":
        if context.users.get(value) is None:
            raise CommandError(f"ERR No such user '{printable(value)}'")
        found.user = value
    elif option == b"SKIPME" and value.lower() in (b"yes", b"no"):
        found.skip_me = value.lower() == b"yes"
    else:
        raise CommandError(SYNTAX)


def _switch(word: bytes) -> bool:
    if word.lower() not in (b"on", b"off"):
        raise CommandError(SYNTAX)
    return word.lower() == b"on"


@CLIENT.session(
    "CLIENT|NO-EVICT",
    arity=3,
    flags=ADMINISTER,
    since="7.0.0",
    syntax="<ON | OFF>",
    summary="Asks that the connection be spared when clients exceed maxmemory-clients.",
)
def client_no_evict(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    context.state.no_evict = _switch(args[2])
    return "OK"


@CLIENT.session(
    "CLIENT|NO-TOUCH",
    arity=3,
    flags=ORDINARY,
    since="7.2.0",
    syntax="<ON | OFF>",
    summary="Asks that the client's commands do not count as accesses to keys, but for TOUCH.",
)
def client_no_touch(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    context.state.no_touch = _switch(args[2])
    context.data.transaction.touches = not context.state.no_touch
    return "OK"


@CLIENT.session(
    "CLIENT|REPLY",
    arity=3,
    flags=ORDINARY | NO_MULTI,
    since="3.2.0",
    syntax="<ON | OFF | SKIP>",
    summary="Says whether replies are wanted: all, none, or not the next one.",
)
def client_reply(context: SessionContext, args: Args) -> Reply:
    """Replies OK to ON and nothing to the others."""
    mode, state = args[2].lower(), context.state
    if mode == b"on":
        state.reply_mode = REPLY_ON
        return "OK"
    if mode == b"off":
        state.reply_mode = REPLY_OFF
    elif mode == b"skip":
        if state.reply_mode != REPLY_OFF:
            state.reply_mode = REPLY_SKIP_NEXT
    else:
        raise CommandError(SYNTAX)
    return NO_REPLY


@CLIENT.session(
    "CLIENT|PAUSE",
    arity=-3,
    flags=ADMINISTER,
    since="3.0.0",
    syntax="timeout [WRITE | ALL]",
    summary="Lets the commands of all clients wait for a while, or only those that write.",
)
def client_pause(context: SessionContext, args: Args) -> Reply:
    """Replies OK. The time is in milliseconds; a pause that is under way is never made shorter or weaker."""
    if len(args) > 4:
        raise wrong_subcommand("CLIENT", args[1])
    writes_only = False
    if len(args) == 4:
        mode = args[3].lower()
        if mode not in (b"write", b"all"):
            raise CommandError(BAD_PAUSE_MODE)
        writes_only = mode == b"write"
    milliseconds = integer(args[2], BAD_TIMEOUT)
    if milliseconds < 0:
        raise CommandError(NEGATIVE_TIMEOUT)
    if milliseconds > INT64_MAX - context.data.now_ms:
        raise CommandError(TIMEOUT_TOO_LONG)
    context.after(PauseClients(milliseconds, writes_only))
    return "OK"


@CLIENT.session(
    "CLIENT|UNPAUSE",
    arity=2,
    flags=ADMINISTER,
    since="6.2.0",
    complexity="O(N) with N the number of clients that wait",
    summary="Ends a pause.",
)
def client_unpause(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    context.after(ResumeClients())
    return "OK"


@CLIENT.session(
    "CLIENT|UNBLOCK",
    arity=-3,
    flags=ADMINISTER,
    since="5.0.0",
    syntax="client-id [TIMEOUT | ERROR]",
    summary="Wakes a client that waits in a blocking command.",
)
def client_unblock(context: SessionContext, args: Args) -> Reply:
    """Replies 1, or 0 where there is no such client or it does not wait."""
    if len(args) > 4:
        raise wrong_subcommand("CLIENT", args[1])
    if len(args) == 4 and args[3].lower() not in (b"timeout", b"error"):
        raise CommandError(BAD_UNBLOCK_REASON)
    client = context.server.clients.get(integer(args[2]))
    if client is None or not client.waiting:
        return 0
    with_error = len(args) == 4 and args[3].lower() == b"error"
    context.after(EndWait(client.id, UNBLOCKED if with_error else ""))
    return 1


@CLIENT.session(
    "CLIENT|GETREDIR",
    arity=2,
    flags=ORDINARY,
    since="6.0.0",
    summary="Returns where invalidation messages go: nowhere, for keys are not tracked.",
)
def client_getredir(context: SessionContext, args: Args) -> Reply:
    """Replies -1."""
    return -1
