"""What a client is refused: before a call runs, inside EXEC and scripts, after it has waited, and where it logs in.

Who may do everything costs one look. A refusal goes to ACL LOG by an effect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyp.command.client_line import describe
from keyp.command.context import SessionContext
from keyp.command.effects import LookAtUser, NoteRefusal
from keyp.command.permission import Denial, denial, reads_all_keys
from keyp.command.spec import NO_AUTH, Args, CommandSpec, UnknownKeys
from keyp.errors import CommandError
from keyp.server.acl.acl_log import AUTH, LUA, MULTI, TOP_LEVEL, Refusal
from keyp.server.acl.user import User
from keyp.server.acl.users import DEFAULT

NOT_LOGGED_IN: Final = "NOAUTH Authentication required."
WRONG_PASSWORD: Final = "WRONGPASS invalid username-password pair or user is disabled."
RULES_CHANGED: Final = (
    "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
    "This command is no longer allowed for the following reason: "
)
_IN_EXEC: Final = {
    "command": "no permission to execute the command or subcommand",
    "key": "no permission to touch the specified keys",
    "channel": "no permission to access one of the channels used as arguments",
}


def where_now(context: SessionContext) -> str:
    """Where a call stands that the client has sent, as ACL LOG has it."""
    return TOP_LEVEL if context.state.queue is None else MULTI


def note_refusal(context: SessionContext, reason: str, where: str, refused: bytes, user: bytes, call: Args) -> None:
    """Has a refusal noted in ACL LOG."""
    line = describe(context, context.client, call)
    context.after(NoteRefusal(Refusal(reason, where, refused, user, line, context.data.now_ms)))


def refusal(context: SessionContext, spec: CommandSpec, args: Args) -> str:
    """The error for a call that the client has sent and may not make; empty where it may."""
    if context.users.must_log_in(context.state) and not spec.flags & NO_AUTH:
        return NOT_LOGGED_IN
    return _find(context, spec, args, where_now(context), _no_permission)


def refusal_in_exec(context: SessionContext, spec: CommandSpec, args: Args) -> str:
    """The error for a queued call that the client may not make any more; empty where it may."""
    return _find(context, spec, args, MULTI, _rules_changed)


def refusal_in_script(context: SessionContext, spec: CommandSpec, args: Args) -> str:
    """The error for a call that a script may not make on behalf of the client; empty where it may."""
    return _find(context, spec, args, LUA, _script_failed)


def _find(context: SessionContext, spec: CommandSpec, args: Args, where: str, error: Callable[[Denial], str]) -> str:
    """The error for what the client's user may not do, which is noted; empty where he may. One look at his rules."""
    user = context.users.restricted(context.state)
    if user is None:
        return ""
    found = denial(user, spec, args)
    if found is not None:
        note_refusal(context, found.reason, where, found.name, found.user, args[: 1 + ("|" in spec.full_name)])
        return error(found)
    is_queued = context.state.queue is not None  # and runs later, where these are looked at
    return "" if is_queued else _refusal_of_patterns(user, spec, args)


def _no_permission(found: Denial) -> str:
    return f"NOPERM {found.text}"


def _rules_changed(found: Denial) -> str:
    return RULES_CHANGED + _IN_EXEC[found.reason]


def _script_failed(found: Denial) -> str:
    return f"ERR ACL failure in script: {found.text}"


def _refusal_of_patterns(user: User, spec: CommandSpec, args: Args) -> str:
    """The error for options that lead to keys by patterns, which only those may use who may read all keys."""
    for key_spec in spec.keys:
        if isinstance(key_spec, UnknownKeys) and key_spec.is_of_patterns():
            options = key_spec.options_in(args)
            if options and not reads_all_keys(user, spec, args):
                name = options[0].decode("latin-1").upper()
                return f"ERR {name} option of SORT denied due to insufficient ACL permissions."
    return ""


def log_in(context: SessionContext, name: bytes, password: bytes, call: Args) -> None:
    """Makes a user the client's, as `call` asks. Raises `WRONGPASS`, also for a name that does not exist."""
    user = context.users.get(name)
    if user is None or not user.accepts(password):
        note_refusal(context, AUTH, where_now(context), call[0], name, call[:1])
        raise CommandError(WRONG_PASSWORD)
    context.state.user = name
    context.state.authenticated = True
    context.after(LookAtUser())


def set_password(context: SessionContext, password: str) -> None:
    """Gives the user `default` a password, his only one; an empty one is none."""

    def edit(known: User | None) -> User:
        assert known is not None, "there always is a default user"
        return known.with_password(password)

    context.change_user(DEFAULT, edit)


def log_out(context: SessionContext) -> None:
    """Makes the client what one is that has just connected."""
    context.state.user = DEFAULT
    context.state.authenticated = context.users.default.is_open
