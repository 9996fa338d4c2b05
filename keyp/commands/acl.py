"""ACL: users, what they may do, and what they were refused.

A change is made of the batch's view of the users and reaches others by an effect, so that it is undone with its batch.
"""

from __future__ import annotations

from typing import Final

from keyp.command.arguments import integer
from keyp.command.context import SessionContext
from keyp.command.describe import CATEGORIES, categories
from keyp.command.effects import LoadUsers, SaveUsers
from keyp.command.permission import denial
from keyp.command.spec import ADMIN, LOADING, NOSCRIPT, STALE, Args
from keyp.command.table import CommandTable
from keyp.errors import CommandError, printable, wrong_arity, wrong_subcommand
from keyp.resp.values import Reply, Set
from keyp.server.acl.acl_log import Entry
from keyp.server.acl.rules import Unmatched, join_selectors
from keyp.server.acl.selector import RuleError, Selector, has_spaces
from keyp.server.acl.user import User
from keyp.server.acl.users import DEFAULT

ACL = CommandTable(group="server")

ORDINARY: Final = NOSCRIPT | LOADING | STALE
ADMINISTER: Final = ADMIN | ORDINARY
EVERYWHERE: Final = ("request_policy:all_nodes", "response_policy:all_succeeded")

PASSWORD_BITS: Final = 256
PASSWORD_BITS_MAX: Final = 4096
ENTRIES_DEFAULT: Final = 10
BAD_BITS: Final = (
    "ERR ACL GENPASS argument must be the number of bits for the output password, "
    f"a positive number up to {PASSWORD_BITS_MAX}"
)
BAD_NAME: Final = "ERR Usernames can't contain spaces or null characters"
DEFAULT_STAYS: Final = "ERR The 'default' user cannot be removed"
NO_FILE: Final = (
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER "
    "command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store "
    "users in the Redis configuration."
)

HELP: Final = (
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Reload users from the ACL file.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "SAVE",
    "    Save the current config to the ACL file.",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "    Create or modify a user with the specified attributes.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
)

ACL.container(
    "ACL",
    help_text=HELP,
    arity=-2,
    since="6.0.0",
    complexity="Depends on the subcommand.",
    summary="Introduces the subcommands about users.",
)


def _all_arguments(call: Args) -> list[int]:
    """Rules have passwords, and a name may be one that was given in a wrong place."""
    return list(range(2, len(call)))


def _arguments_of_call(call: Args) -> list[int]:
    """What stands behind the command that is tried, which may be AUTH; Redis shows it."""
    return list(range(4, len(call)))


@ACL.session(
    "ACL|CAT",
    arity=-2,
    flags=ORDINARY,
    since="6.0.0",
    complexity="O(1), or O(N) with N the number of commands",
    syntax="[category]",
    summary="Lists the categories of commands, or the commands of one.",
)
def acl_cat(context: SessionContext, args: Args) -> Reply:
    """Replies with names."""
    if len(args) > 3:
        raise wrong_subcommand("ACL", args[1])
    if len(args) == 2:
        return [category.encode() for category in CATEGORIES]
    wanted = args[2].decode("latin-1").lower()
    if wanted not in CATEGORIES:
        raise CommandError(f"ERR Unknown category '{printable(args[2])}'")
    names: list[Reply] = []
    for spec in context.server.registry:
        for each in (spec, *spec.subcommands.values()):
            if wanted in categories(each):
                names.append(each.full_name.encode())
    return names


@ACL.session(
    "ACL|DELUSER",
    arity=-3,
    flags=ADMINISTER,
    secrets=_all_arguments,
    since="6.0.0",
    complexity="O(N) with N the number of connections",
    tips=EVERYWHERE,
    syntax="username [username ...]",
    summary="Removes users, and ends their connections.",
)
def acl_deluser(context: SessionContext, args: Args) -> Reply:
    """Replies with how many there were."""
    if DEFAULT in args[2:]:
        raise CommandError(DEFAULT_STAYS)
    found = [name for name in dict.fromkeys(args[2:]) if context.users.get(name) is not None]
    for name in found:
        context.change_user(name, _gone)
    return len(found)


def _gone(known: User | None) -> None:
    """The user is removed."""


@ACL.session(
    "ACL|DRYRUN",
    arity=-4,
    flags=ADMINISTER,
    secrets=_arguments_of_call,
    since="7.0.0",
    syntax="username command [arg [arg ...]]",
    summary="Says whether a user may make a call, without making it.",
)
def acl_dryrun(context: SessionContext, args: Args) -> Reply:
    """Replies OK, or with what he is refused."""
    user = context.users.get(args[2])
    if user is None:
        raise CommandError(f"ERR User '{printable(args[2])}' not found")
    call = args[3:]
    spec = context.server.registry.find(call)
    if spec is None:
        raise CommandError(f"ERR Command '{printable(call[0])}' not found")
    if not spec.accepts(len(call)):
        raise wrong_arity(spec.full_name)
    found = denial(user, spec, call)
    return "OK" if found is None else found.full_text.encode("latin-1")


@ACL.session(
    "ACL|GENPASS",
    arity=-2,
    flags=ORDINARY,
    since="6.0.0",
    syntax="[bits]",
    summary="Makes a password that nobody can guess.",
)
def acl_genpass(context: SessionContext, args: Args) -> Reply:
    """Replies with hexadecimal digits, as many as the bits need."""
    if len(args) > 3:
        raise wrong_subcommand("ACL", args[1])
    bits = integer(args[2]) if len(args) == 3 else PASSWORD_BITS
    if not 0 < bits <= PASSWORD_BITS_MAX:
        raise CommandError(BAD_BITS)
    digits = -(-bits // 4)
    return b"%0*x" % (digits, context.data.shared.secret.getrandbits(4 * digits))


@ACL.session(
    "ACL|GETUSER",
    arity=3,
    flags=ADMINISTER,
    secrets=_all_arguments,
    since="6.0.0",
    complexity="O(N) with N the number of passwords, commands and patterns of the user",
    syntax="username",
    summary="Describes a user.",
)
def acl_getuser(context: SessionContext, args: Args) -> Reply:
    """Replies with a map; null where there is no such user."""
    user = context.users.get(args[2])
    if user is None:
        return None
    return {
        b"flags": Set([flag.encode() for flag in user.flags()]),
        b"passwords": list(user.passwords),
        **_selector(user.selector),
        b"selectors": [_selector(selector) for selector in user.more_selectors],
    }


def _selector(selector: Selector) -> dict[bytes, Reply]:
    return {
        b"commands": selector.describe_commands(),
        b"keys": selector.describe_keys(),
        b"channels": selector.describe_channels(),
    }


@ACL.session(
    "ACL|LIST",
    arity=2,
    flags=ADMINISTER,
    since="6.0.0",
    complexity="O(N) with N the number of users",
    summary="Describes all users, as an ACL file does.",
)
def acl_list(context: SessionContext, args: Args) -> Reply:
    """Replies with a line for each user."""
    return [user.describe() for user in context.users.all()]


@ACL.session(
    "ACL|LOAD",
    arity=2,
    flags=ADMINISTER,
    since="6.0.0",
    complexity="O(N) with N the number of users",
    summary="Takes the users from the ACL file, all of them or, where a line is wrong, none.",
)
def acl_load(context: SessionContext, args: Args) -> Reply:
    """Replies OK. The connections of users that are not what they were end."""
    _needs_file(context)
    context.after(LoadUsers())
    return "OK"


@ACL.session(
    "ACL|SAVE",
    arity=2,
    flags=ADMINISTER,
    since="6.0.0",
    complexity="O(N) with N the number of users",
    tips=EVERYWHERE,
    summary="Writes the users to the ACL file.",
)
def acl_save(context: SessionContext, args: Args) -> Reply:
    """Replies OK when they are on the disk."""
    _needs_file(context)
    context.after(SaveUsers())
    return "OK"


def _needs_file(context: SessionContext) -> None:
    if not context.server.settings.get("aclfile"):
        raise CommandError(NO_FILE)


@ACL.session(
    "ACL|LOG",
    arity=-2,
    flags=ADMINISTER,
    since="6.0.0",
    complexity="O(N) with N the number of entries shown",
    syntax="[count | RESET]",
    summary="Shows what users were refused last.",
)
def acl_log(context: SessionContext, args: Args) -> Reply:
    """Replies with the newest entries first, or, to RESET, with OK."""
    log = context.server.acl_log
    if len(args) > 3:
        raise wrong_subcommand("ACL", args[1])
    if len(args) == 3 and args[2].lower() == b"reset":
        log.reset()
        return "OK"
    count = max(0, integer(args[2])) if len(args) == 3 else ENTRIES_DEFAULT
    return [_entry(context, entry) for entry in log.entries[:count]]


def _entry(context: SessionContext, entry: Entry) -> Reply:
    last = entry.last
    return {
        b"count": entry.count,
        b"reason": last.reason.encode(),
        b"context": last.where.encode(),
        b"object": last.refused,
        b"username": last.user,
        b"age-seconds": (context.data.now_ms - last.at_ms) / 1000,
        b"client-info": last.client,
        b"entry-id": entry.id,
        b"timestamp-created": entry.created_ms,
        b"timestamp-last-updated": last.at_ms,
    }


@ACL.session(
    "ACL|SETUSER",
    arity=-3,
    flags=ADMINISTER,
    secrets=_all_arguments,
    since="6.0.0",
    complexity="O(N) with N the number of rules",
    tips=EVERYWHERE,
    syntax="username [rule [rule ...]]",
    summary="Makes a user, or changes one, by rules.",
)
def acl_setuser(context: SessionContext, args: Args) -> Reply:
    """Replies OK; where a rule is wrong, none of them applies."""
    if has_spaces(args[2]):
        raise CommandError(BAD_NAME)
    try:
        rules = join_selectors(args[3:])
    except Unmatched as unmatched:
        opened = printable(unmatched.rule)
        raise CommandError(f"ERR Unmatched parenthesis in acl selector starting at '{opened}'.") from None
    index, all_channels = context.users.index, context.server.settings.acl_all_channels

    def edit(known: User | None) -> User:
        user = User(args[2], all_channels) if known is None else known.copy()
        for rule in rules:
            try:
                user.apply(rule, index, all_channels)
            except RuleError as error:
                raise CommandError(f"ERR Error in ACL SETUSER modifier '{printable(rule)}': {error}") from None
        return user

    context.change_user(args[2], edit)
    return "OK"


@ACL.session(
    "ACL|USERS",
    arity=2,
    flags=ADMINISTER,
    since="6.0.0",
    complexity="O(N) with N the number of users",
    summary="Lists the names of all users.",
)
def acl_users(context: SessionContext, args: Args) -> Reply:
    """Replies with the names, in order."""
    return list(context.users.names())


@ACL.session(
    "ACL|WHOAMI",
    arity=2,
    flags=ORDINARY,
    since="6.0.0",
    summary="Says which user the client is.",
)
def acl_whoami(context: SessionContext, args: Args) -> Reply:
    """Replies with the name."""
    return context.state.user
