"""The server itself: settings, saving, shutdown, and replication, of which there is none.

What has consequences outside the data is asked for as an effect: a sync, a stop, a delay. Settings and switches are
changed at once; doing that twice, when a batch has to run again, does no harm.
"""

from __future__ import annotations

from math import isfinite
from typing import Final

from keyp import REDIS_VERSION
from keyp.command.access_control import set_password
from keyp.command.arguments import integer, integer_between, to_int64
from keyp.command.context import ReadContext, SessionContext
from keyp.command.effects import Delay, ReloadCertificates, ReopenStore, RewriteConfig, SaveStore, StopServer
from keyp.command.protection import may_change_protected
from keyp.command.script_calls import busy_error
from keyp.command.spec import (
    ADMIN,
    ALLOW_BUSY,
    FAST,
    LOADING,
    NO_ASYNC_LOADING,
    NO_MULTI,
    NOSCRIPT,
    PROTECTED,
    STALE,
    Args,
    key_at,
)
from keyp.command.table import CommandTable
from keyp.errors import SYNTAX, CommandError, wrong_subcommand
from keyp.resp.values import NO_REPLY, Reply, Verbatim
from keyp.storage import measure

SERVER = CommandTable(group="server")

ADMINISTER: Final = ADMIN | NOSCRIPT | LOADING | STALE
EVERYWHERE: Final = ("request_policy:all_nodes", "response_policy:all_succeeded")

PASSWORDS: Final = (b"requirepass", b"masterauth", b"masteruser", b"tls-key-file-pass", b"tls-client-key-file-pass")
SAMPLES_DEFAULT: Final = 5
LONGEST_DELAY_S: Final = 86_400.0
BACKGROUND_SAVE_RUNNING: Final = "ERR Background save already in progress"
NO_CONFIG_FILE: Final = "ERR The server is running without a config file"
NO_REPLICATION: Final = "ERR Keyp does not replicate: only NO ONE is accepted here"
BAD_PORT: Final = "ERR Invalid master port"


SERVER.container(
    "CONFIG",
    arity=-2,
    since="2.0.0",
    help_since="5.0.0",
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommands about settings.",
)


@SERVER.session(
    "CONFIG|GET",
    arity=-3,
    flags=ADMINISTER,
    since="2.0.0",
    complexity="O(N) with N the number of settings asked for",
    syntax="parameter [parameter ...]",
    summary="Shows the values of settings, named or matched by patterns.",
)
def config_get(context: SessionContext, args: Args) -> Reply:
    """Replies with a map of names and values; names that do not exist are left out."""
    return context.server.settings.matching(args[2:])


def _values_of_passwords(call: Args) -> list[int]:
    """What stands behind the name of a password, also where the pairs are out of step."""
    return [place + 1 for place in range(2, len(call) - 1) if call[place].lower() in PASSWORDS]


@SERVER.session(
    "CONFIG|SET",
    arity=-4,
    flags=ADMINISTER,
    secrets=_values_of_passwords,
    since="2.0.0",
    complexity="O(N) with N the number of settings given",
    tips=EVERYWHERE,
    syntax="parameter value [parameter value ...]",
    summary="Changes settings, all of those given or none; CONFIG REWRITE keeps the change over a restart.",
)
def config_set(context: SessionContext, args: Args) -> Reply:
    """Replies OK. What is changed is as before after a restart, unless CONFIG REWRITE writes it to the file."""
    if len(args) % 2:
        raise CommandError(SYNTAX)
    server = context.server
    pairs = list(zip(args[2::2], args[3::2], strict=True))
    of_tls = [name.lower() for name in args[2::2] if name.lower().startswith(b"tls-")]
    before = server.settings.matching(of_tls)
    server.settings.set_many(pairs, may_change_protected(server, context.client))
    if of_tls:
        context.after(
            ReloadCertificates(_blamed(of_tls, before, server.settings.matching(of_tls)), list(before.items()))
        )
    context.data.follow_settings()
    names = [name.lower() for name in args[2::2]]
    if b"appendfsync" in names:
        context.after(ReopenStore())
    if b"requirepass" in names:
        set_password(context, server.settings.get("requirepass"))
    return "OK"


def _blamed(names: list[bytes], before: dict[bytes, bytes], now: dict[bytes, bytes]) -> str:
    """Which setting an error of TLS names: as in Redis the first that was changed; what a file has may always have."""
    for name in names:
        if name.endswith((b"-file", b"-dir")) or (before[name] != now[name] and name != b"tls-auth-clients"):
            return name.decode()
    return names[0].decode()


@SERVER.session(
    "CONFIG|RESETSTAT",
    arity=2,
    flags=ADMINISTER,
    since="2.0.0",
    tips=EVERYWHERE,
    summary="Sets the counters that INFO shows to zero.",
)
def config_resetstat(context: SessionContext, args: Args) -> Reply:
    """Replies OK."""
    context.server.metrics.reset()
    return "OK"


@SERVER.session(
    "CONFIG|REWRITE",
    arity=2,
    flags=ADMINISTER,
    since="2.8.0",
    tips=EVERYWHERE,
    summary="Writes settings and users, as they are now, to the configuration file.",
)
def config_rewrite(context: SessionContext, args: Args) -> Reply:
    """Replies OK when they are on the disk; a server without a configuration file, and a failure, are errors."""
    if not context.server.settings.config_file:
        raise CommandError(NO_CONFIG_FILE)
    context.after(RewriteConfig())
    return "OK"


@SERVER.read(
    "TIME",
    arity=1,
    flags=LOADING | STALE | FAST,
    since="2.6.0",
    tips=("nondeterministic_output",),
    summary="Returns the server's time.",
)
def time(context: ReadContext, args: Args) -> Reply:
    """Replies with the seconds since 1970 and the microseconds of the current second."""
    seconds, microseconds = divmod(context.now_us, 1_000_000)
    return [b"%d" % seconds, b"%d" % microseconds]


@SERVER.session(
    "LASTSAVE",
    arity=1,
    flags=LOADING | STALE | FAST,
    categories="admin dangerous",
    since="1.0.0",
    tips=("nondeterministic_output",),
    summary="Returns when SAVE or BGSAVE last wrote a copy of all data.",
)
def lastsave(context: SessionContext, args: Args) -> Reply:
    """Replies with seconds since 1970; before the first copy, with the moment the server started."""
    return int(context.server.last_save_at)


@SERVER.session(
    "SAVE",
    arity=1,
    flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI,
    since="1.0.0",
    complexity="O(N) with N the number of keys in all databases",
    summary="Writes a copy of all data and answers when it is on the disk.",
)
def save(context: SessionContext, args: Args) -> Reply:
    """Replies OK once the copy is there; other clients do not wait."""
    if context.server.save_running:
        raise CommandError(BACKGROUND_SAVE_RUNNING)
    context.after(SaveStore(background=False))
    return "OK"


@SERVER.session(
    "BGSAVE",
    arity=-1,
    flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING,
    since="1.0.0",
    syntax="[SCHEDULE]",
    summary="Begins to write a copy of all data.",
)
def bgsave(context: SessionContext, args: Args) -> Reply:
    """Replies at once; LASTSAVE shows when it is done."""
    if len(args) > 2 or (len(args) == 2 and args[1].upper() != b"SCHEDULE"):
        raise CommandError(SYNTAX)
    if context.server.save_running:
        raise CommandError(BACKGROUND_SAVE_RUNNING)
    context.after(SaveStore(background=True))
    return "Background saving started"


@SERVER.session(
    "SHUTDOWN",
    arity=-1,
    flags=ADMINISTER | NO_MULTI | ALLOW_BUSY,
    since="1.0.0",
    complexity="O(N) with N the number of pages changed since the last sync",
    syntax="[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
    summary="Stops the server in order: what is under way is finished and on the disk.",
)
def shutdown(context: SessionContext, args: Args) -> Reply:
    """No reply: the connection ends. Nothing is lost by it, so the options change nothing."""
    words = {word.upper() for word in args[1:]}
    if not words <= {b"NOSAVE", b"SAVE", b"NOW", b"FORCE", b"ABORT"} or {b"NOSAVE", b"SAVE"} <= words:
        raise CommandError(SYNTAX)
    if b"ABORT" in words:
        raise CommandError("ERR No shutdown in progress." if len(words) == 1 else SYNTAX)
    scripts = context.server.scripts
    if scripts.busy is not None:
        if b"NOSAVE" not in words:
            raise CommandError(busy_error(scripts.busy))
        scripts.is_stopping = True
    context.after(StopServer())
    return NO_REPLY


@SERVER.session(
    "DEBUG",
    arity=-2,
    flags=ADMINISTER | PROTECTED,
    since="1.0.0",
    complexity="Depends on the subcommand.",
    syntax="subcommand [argument ...]",
    summary="Helps to test clients: a slow reply, a pause of the sweeper.",
)
def debug(context: SessionContext, args: Args) -> Reply:
    """SLEEP delays this client's replies only; SET-ACTIVE-EXPIRE 0 leaves expired keys to commands that meet them."""
    word = args[1].upper()
    if word == b"SLEEP" and len(args) == 3:
        context.after(Delay(_seconds(args[2])))
        return "OK"
    if word == b"SET-ACTIVE-EXPIRE" and len(args) == 3:
        context.server.sweeping = to_int64(args[2]) not in (0, None)
        return "OK"
    if word == b"HELP" and len(args) == 2:
        return list(DEBUG_HELP)
    raise wrong_subcommand("DEBUG", args[1])


DEBUG_HELP: Final = (
    "DEBUG <subcommand> [<argument>]. Subcommands are:",
    "SLEEP <seconds>",
    "    The replies to this client wait so long; decimals are allowed.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Stops (0) or resumes (1) the removal of expired keys in the background.",
    "HELP",
    "    Shows this.",
)


def _seconds(text: bytes) -> float:
    """A duration as strtod would take it: 0 for what is no number."""
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), LONGEST_DELAY_S) if isfinite(seconds) else 0.0


@SERVER.read(
    "LOLWUT",
    arity=-1,
    flags=FAST,
    categories="read",
    since="5.0.0",
    syntax="[VERSION version]",
    summary="Draws a picture of a key and shows the version.",
)
def lolwut(context: ReadContext, args: Args) -> Reply:
    """Replies with text; the last line names the version of Redis that Keyp follows."""
    if len(args) > 2 and args[1].upper() == b"VERSION":
        integer(args[2])
    depths = [context.random.randrange(4) for _ in range(12)]
    teeth = ["".join(["##" if depth > row else "  " for depth in depths]).rstrip() for row in range(3)]
    drawing = (
        "",
        "   .-----.",
        "  /  .-.  \\" + "_" * 32,
        " |  (   )  " + "#" * 32 + ">",
        "  \\  '-'  /     " + teeth[0],
        "   '-----'      " + teeth[1],
        " " * 16 + teeth[2],
        "Keep your keys.",
        "",
        f"Redis ver. {REDIS_VERSION}",
        "",
    )
    return Verbatim("\n".join([line.rstrip() for line in drawing]).encode())


@SERVER.session(
    "ROLE",
    arity=1,
    flags=NOSCRIPT | LOADING | STALE | FAST,
    categories="admin dangerous",
    since="2.8.12",
    summary="Returns the server's role in replication: a master without replicas.",
)
def role(context: SessionContext, args: Args) -> Reply:
    """Replies with the word `master`, the offset 0 and no replicas."""
    return [b"master", 0, []]


@SERVER.session(
    "REPLICAOF",
    arity=3,
    flags=ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING,
    since="5.0.0",
    syntax="<host port | NO ONE>",
    summary="Makes the server a master, which it is anyway.",
)
def replicaof(context: SessionContext, args: Args) -> Reply:
    """Replies OK to NO ONE; everything else is an error."""
    if args[1].upper() == b"NO" and args[2].upper() == b"ONE":
        return "OK"
    integer_between(args[2], 0, 65535, BAD_PORT)
    raise CommandError(NO_REPLICATION)


@SERVER.session(
    "SLAVEOF",
    arity=3,
    flags=ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING,
    since="1.0.0",
    syntax="<host port | NO ONE>",
    summary="The old name of REPLICAOF.",
)
def slaveof(context: SessionContext, args: Args) -> Reply:
    """See `replicaof`."""
    return replicaof(context, args)


SERVER.container(
    "MODULE",
    arity=-2,
    since="4.0.0",
    help_since="5.0.0",
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommand about modules.",
)


@SERVER.session(
    "MODULE|LIST",
    arity=2,
    flags=ADMIN | NOSCRIPT,
    since="4.0.0",
    complexity="O(N) with N the number of modules",
    tips=("nondeterministic_output_order",),
    summary="Lists the loaded modules: there are none.",
)
def module_list(context: SessionContext, args: Args) -> Reply:
    """Replies with an empty array."""
    return []


SERVER.container(
    "MEMORY",
    arity=-2,
    since="4.0.0",
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommands about the room that data takes.",
)


@SERVER.read(
    "MEMORY|USAGE",
    arity=-3,
    keys=key_at(2, "RO"),
    since="4.0.0",
    complexity="O(N) with N the number of samples",
    syntax="key [SAMPLES count]",
    summary="Estimates the bytes that a key and its value take in the store.",
)
def memory_usage(context: ReadContext, args: Args) -> Reply:
    """Replies with a number of bytes, null without such a key. 0 samples means as many as are ever looked at."""
    samples = SAMPLES_DEFAULT
    for place in range(3, len(args), 2):
        if args[place].upper() != b"SAMPLES" or place + 1 == len(args):
            raise CommandError(SYNTAX)
        samples = integer(args[place + 1])
        if samples < 0:
            raise CommandError(SYNTAX)
    return measure.key_bytes(context.keys, args[2], samples or measure.SAMPLES_MAX)
