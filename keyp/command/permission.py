"""Whether a user may make a call, and if not, why: which command, key or channel he is refused.

Keys and channels are where the blocks say they are (`spec.py`). The texts are those of Redis 7.2.
"""

from __future__ import annotations

from typing import Final

from keyp.command.describe import CATEGORIES, categories
from keyp.command.registry import Registry
from keyp.command.spec import NO_AUTH, Args, CommandSpec
from keyp.server.acl.acl_log import CHANNEL, COMMAND, KEY
from keyp.server.acl.command_index import CommandIndex
from keyp.server.acl.selector import READ_KEY, WRITE_KEY, Selector
from keyp.server.acl.user import User

_ACCESS: Final = {"access": READ_KEY, "insert": WRITE_KEY, "update": WRITE_KEY, "delete": WRITE_KEY}
_RANKS: Final = {COMMAND: 1, KEY: 2, CHANNEL: 4}  # of what several selectors refuse, the highest is told


class Denial:
    """What a user is refused. `name` is the command's, the key's or the channel's."""

    def __init__(self, user: bytes, reason: str, name: bytes, place: int) -> None:
        self.user = user
        self.reason = reason
        self.name = name
        self.place = place  # among the arguments

    @property
    def text(self) -> str:
        """Why, without the key or the channel."""
        return f"No permissions to access a {self.reason}" if self.reason != COMMAND else self.full_text

    @property
    def full_text(self) -> str:
        """Why, with the key or the channel."""
        user, name = self.user.decode("latin-1"), self.name.decode("latin-1")
        if self.reason == COMMAND:
            return f"User {user} has no permissions to run the '{name}' command"
        return f"User {user} has no permissions to access the '{name}' {self.reason}"


def command_index(registry: Registry) -> CommandIndex:
    """The commands of a server, as the rules of users speak of them."""
    index = CommandIndex(CATEGORIES)
    for spec in registry:
        index.add(spec.full_name, categories(spec))
        for subcommand in spec.subcommands.values():
            index.add(subcommand.full_name, categories(subcommand))
    return index


def denial(user: User, spec: CommandSpec, args: Args) -> Denial | None:
    """Why a user may not make a call; None where he may. The call fits the command's arity."""
    call = _Call(spec, args)
    worst: Denial | None = None
    for selector in user.selectors:
        found = call.denied_by(selector, user.name)
        if found is None:
            return None
        if worst is None or (_RANKS[found.reason], found.place) > (_RANKS[worst.reason], worst.place):
            worst = found
    return worst


def reads_all_keys(user: User, spec: CommandSpec, args: Args) -> bool:
    """Whether a user may make a call, and read each key there is beside those in it (SORT … BY)."""
    call = _Call(spec, args)
    return any(
        call.denied_by(selector, user.name) is None and selector.allows_all_keys(READ_KEY)
        for selector in user.selectors
    )


class _Call:
    """One call, and what it uses, found where the first selector asks."""

    def __init__(self, spec: CommandSpec, args: Args) -> None:
        self._spec = spec
        self._args = args
        self._keys: list[tuple[int, int]] | None = None

    def denied_by(self, selector: Selector, user: bytes) -> Denial | None:
        """What a selector refuses; None where it allows all of the call."""
        spec, args = self._spec, self._args
        if not spec.flags & NO_AUTH and not selector.allows_command(spec.full_name, args[1] if len(args) > 1 else b""):
            return Denial(user, COMMAND, spec.full_name.encode(), 0)
        if not selector.all_keys and spec.keys:
            for place, access in self._find_keys():
                if not selector.allows_key(args[place], access):
                    return Denial(user, KEY, args[place], place)
        if not selector.all_channels and spec.channels is not None:
            for place in spec.channels.positions(args):
                if not selector.allows_channel(args[place], spec.channels.are_patterns):
                    return Denial(user, CHANNEL, args[place], place)
        return None

    def _find_keys(self) -> list[tuple[int, int]]:
        """Where the keys are and what is done with them; none where the call makes no sense."""
        if self._keys is None:
            self._keys = []
            try:
                for key_spec in self._spec.keys:
                    if key_spec.flags != "not_key":
                        access = 0
                        for word in key_spec.flags_in(self._args):
                            access |= _ACCESS.get(word, 0)
                        self._keys += [(place, access) for place in key_spec.positions(self._args)]
            except ValueError:
                self._keys = []
        return self._keys
