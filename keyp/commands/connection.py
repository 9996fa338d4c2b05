"""The connection itself: its user, its protocol, its database."""

from __future__ import annotations

from typing import Final

from keyp import REDIS_VERSION
from keyp.command.access_control import log_in, log_out
from keyp.command.arguments import integer, integer_between
from keyp.command.context import SessionContext
from keyp.command.effects import CloseClient
from keyp.command.spec import ALLOW_BUSY, FAST, FOR_SUBSCRIBERS, LOADING, NO_AUTH, NOSCRIPT, NOT_QUEUED, STALE, Args
from keyp.command.table import CommandTable
from keyp.commands.client import check_name
from keyp.commands.pubsub import unsubscribe_from_all
from keyp.commands.transactions import discard_queue
from keyp.errors import NOT_INT32, SYNTAX, CommandError, printable, wrong_arity
from keyp.resp.values import Reply
from keyp.server.acl.users import DEFAULT
from keyp.server.clients import REPLY_OFF, REPLY_ON

CONNECTION = CommandTable(group="connection", categories="connection")

AT_ANY_TIME: Final = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY

INT32_MIN: Final = -(1 << 31)
INT32_MAX: Final = (1 << 31) - 1

NO_PASSWORD: Final = (
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)
HELLO_NOT_LOGGED_IN: Final = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time"
)


@CONNECTION.session(
    "PING",
    arity=-1,
    flags=FAST | FOR_SUBSCRIBERS,
    since="1.0.0",
    tips=("request_policy:all_shards", "response_policy:all_succeeded"),
    syntax="[message]",
    summary="Answers, which shows that the server is there.",
)
def ping(context: SessionContext, args: Args) -> Reply:
    """Replies PONG, or with the message; to a subscriber in RESP2 with an array, as messages are."""
    if len(args) > 2:
        raise wrong_arity("ping")
    if context.state.is_subscriber and context.state.protocol == 2:
        return [b"pong", args[1] if len(args) == 2 else b""]
    return args[1] if len(args) == 2 else "PONG"


@CONNECTION.session(
    "ECHO",
    arity=2,
    flags=LOADING | STALE | FAST,
    since="1.0.0",
    syntax="message",
    summary="Answers with the message.",
)
def echo(context: SessionContext, args: Args) -> Reply:
    """Replies with the message."""
    return args[1]


@CONNECTION.session(
    "QUIT",
    arity=-1,
    flags=AT_ANY_TIME | NOT_QUEUED | FOR_SUBSCRIBERS,
    since="1.0.0",
    summary="Ends the connection.",
)
def quit_(context: SessionContext, args: Args) -> Reply:
    """Replies OK; the connection ends behind it."""
    context.after(CloseClient(context.client.id))
    return "OK"


@CONNECTION.session(
    "SELECT",
    arity=2,
    flags=LOADING | STALE | FAST,
    since="1.0.0",
    syntax="index",
    summary="Chooses the database that the connection works on.",
)
def select(context: SessionContext, args: Args) -> Reply:
    """Replies OK. Raises `ERR DB index is out of range`."""
    context.select(integer_between(args[1], INT32_MIN, INT32_MAX, _index_error(args[1])))
    return "OK"


def _index_error(index: bytes) -> str:
    """Redis has different errors for a number too large for a C int and for what is no number."""
    integer(index)
    return NOT_INT32


def _words_of_auth(call: Args) -> list[int]:
    """The user's name too, as in Redis: it may be a password that was given in the old form.

    Also of a call with too many words, which Redis shows.
    """
    return list(range(1, len(call)))


@CONNECTION.session(
    "AUTH",
    arity=-2,
    flags=AT_ANY_TIME,
    secrets=_words_of_auth,
    since="1.0.0",
    syntax="[username] password",
    summary="Logs in.",
)
def auth(context: SessionContext, args: Args) -> Reply:
    """Replies OK. Without a name the user is `default`."""
    if len(args) > 3:
        raise CommandError(SYNTAX)
    if len(args) == 2 and context.users.default.nopass:
        raise CommandError(NO_PASSWORD)
    log_in(context, DEFAULT if len(args) == 2 else args[1], args[-1], args)
    return "OK"


def _words_of_hello(call: Args) -> list[int]:
    """What stands behind AUTH. Where the options make no sense, any word may be a password; Redis shows them."""
    found: list[int] = []
    at = 2
    while at < len(call):
        option, left = call[at].upper(), len(call) - at - 1
        if option == b"AUTH" and left >= 2:
            found += [at + 1, at + 2]
            at += 3
        elif option == b"SETNAME" and left >= 1:
            at += 2
        else:
            return found + list(range(at, len(call)))
    return found


@CONNECTION.session(
    "HELLO",
    arity=-1,
    flags=AT_ANY_TIME,
    secrets=_words_of_hello,
    since="6.0.0",
    syntax="[protover [AUTH username password] [SETNAME clientname]]",
    summary="Chooses the protocol, logs in, names the connection, and describes the server.",
)
def hello(context: SessionContext, args: Args) -> Reply:
    """Replies with facts about the server and the connection, in the protocol that was chosen."""
    state = context.state
    protocol = state.protocol
    if len(args) > 1:
        protocol = integer(args[1], "ERR Protocol version is not an integer or out of range")
        if protocol not in (2, 3):
            raise CommandError("NOPROTO unsupported protocol version")
    log_in_as, name = _hello_options(args, state.name)
    if log_in_as:
        log_in(context, log_in_as[0], log_in_as[1], args)
    if context.users.must_log_in(state):
        raise CommandError(HELLO_NOT_LOGGED_IN)
    state.name = name
    state.protocol = protocol
    return {
        b"server": b"redis",
        b"version": REDIS_VERSION.encode(),
        b"proto": protocol,
        b"id": context.client.id,
        b"mode": b"standalone",
        b"role": b"master",
        b"modules": [],
    }


def _hello_options(args: Args, name: bytes) -> tuple[list[bytes], bytes]:
    """Reads the options behind the version: the user and password to log in, and the connection's name, now `name`."""
    log_in_as: list[bytes] = []
    at = 2
    while at < len(args):
        option, left = args[at].upper(), len(args) - at - 1
        if option == b"AUTH" and left >= 2:
            log_in_as = args[at + 1 : at + 3]
            at += 3
        elif option == b"SETNAME" and left >= 1:
            name = args[at + 1]
            check_name(name)
            at += 2
        else:
            raise CommandError(f"ERR Syntax error in HELLO option '{printable(args[at])}'")
    return log_in_as, name


@CONNECTION.session(
    "RESET",
    arity=1,
    flags=AT_ANY_TIME | NOT_QUEUED | FOR_SUBSCRIBERS,
    since="6.2.0",
    summary="Makes the connection what it was when it began.",
)
def reset(context: SessionContext, args: Args) -> Reply:
    """Replies RESET: no user, no transaction, nothing watched, no channels, database 0, RESP2, no name, replies on."""
    discard_queue(context)
    log_out(context)
    unsubscribe_from_all(context)
    context.select(0)
    state = context.state
    state.protocol = 2
    state.name = b""
    if state.reply_mode == REPLY_OFF:  # a reply that is to be skipped is this one
        state.reply_mode = REPLY_ON
    state.no_evict = False
    state.no_touch = False
    context.data.transaction.touches = True
    return "RESET"
