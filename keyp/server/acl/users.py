"""The users of a server, and a batch's view of them.

What a batch changes stands in a view of its own, until the batch has been committed: so it can be thrown away. A change
replaces a user; a client keeps his name, and what he may do is looked up when a call begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyp.server.acl.command_index import CommandIndex
from keyp.server.acl.user import User
from keyp.server.clients import ClientState

DEFAULT: Final = b"default"

# A change of a user: what becomes of the one there is, None for none. Another may have changed him before it is applied
# again, for all to see, so it holds rules and no user.
Edit = Callable[[User | None], User | None]


class Users:
    """Users by name. A view has a `base`, and only what differs from it; None stands for a user that is gone.

    `is_open` says that there is nothing to look at: every client is the default user, who may do everything.
    """

    def __init__(self, index: CommandIndex, base: Users | None = None) -> None:
        self.index = index
        self._base = base
        self._own: dict[bytes, User | None] = {}
        self.is_open = False
        if base is None:
            self._own[DEFAULT] = default_user(index)
            self._look()

    def view(self) -> Users:
        """What a batch sees and may change."""
        return Users(self.index, self)

    def get(self, name: bytes) -> User | None:
        """The user of that name, None where there is none."""
        if name in self._own or self._base is None:
            return self._own.get(name)
        return self._base.get(name)

    def names(self) -> list[bytes]:
        """The names of all users, in order."""
        known = set(self._own)
        if self._base is not None:
            known.update(self._base.names())
        return sorted([name for name in known if self.get(name) is not None])

    def all(self) -> list[User]:
        """All users, by their names."""
        return [user for user in map(self.get, self.names()) if user is not None]

    @property
    def default(self) -> User:
        """The user of those who have not logged in; there always is one."""
        user = self.get(DEFAULT)
        assert user is not None
        return user

    def set(self, name: bytes, user: User | None) -> None:
        """Sets in a view what a name stands for: None for a user that is gone."""
        self._own[name] = user

    def take_over(self, changes: dict[bytes, User | None]) -> None:
        """Makes changes visible to all: None for a user that is gone."""
        for name, user in changes.items():
            if user is None:
                self._own.pop(name, None)
            else:
                self._own[name] = user
        self._look()

    def _look(self) -> None:
        default = self.default
        self.is_open = self._base is None and len(self._own) == 1 and default.is_open and default.is_unrestricted

    # What it means for a client.

    def must_log_in(self, state: ClientState) -> bool:
        """Whether a client has to log in before it may do anything."""
        return not state.authenticated and not self.default.is_open

    def restricted(self, state: ClientState) -> User | None:
        """The user of a client who has logged in or need not; None where he may do everything.

        One that has been removed is nobody, who may do nothing: his connections are about to end.
        """
        user = self.get(state.user)
        if user is None:
            return User(state.user, False)
        return None if user.is_unrestricted else user


def default_user(index: CommandIndex) -> User:
    """The user of those who do not log in, as he is before anything is said of him: he may do everything."""
    user = User(DEFAULT, True)
    for rule in (b"on", b"nopass", b"~*", b"&*", b"+@all"):
        user.apply(rule, index, True)
    return user
