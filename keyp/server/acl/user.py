"""A user: who may log in as him, and what he may do.

A user that clients can see is never changed: a change is made of a copy, which takes his place.
"""

from __future__ import annotations

from typing import Final

from keyp.server.acl.command_index import CommandIndex
from keyp.server.acl.passwords import is_among, is_hash, password_hash
from keyp.server.acl.selector import SYNTAX, RuleError, Selector
from keyp.server.config.file import quoted, word

BAD_HASH: Final = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
NO_SUCH_PASSWORD: Final = "The password you are trying to remove from the user does not exist"


class User:
    """A user by the name `name`; a new one is off and may do nothing."""

    def __init__(self, name: bytes, all_channels: bool) -> None:
        self.name = name
        self.enabled = False
        self.nopass = False
        self.sanitizes = True  # what RESTORE is given; shown, and of no other effect
        self.passwords: list[bytes] = []  # their hashes
        self.selector = Selector(all_channels)
        self.more_selectors: list[Selector] = []
        self.is_unrestricted = False

    def copy(self) -> User:
        """One that can be changed without this one."""
        copy = User(self.name, False)
        copy.enabled = self.enabled
        copy.nopass = self.nopass
        copy.sanitizes = self.sanitizes
        copy.passwords = self.passwords.copy()
        copy.selector = self.selector.copy()
        copy.more_selectors = [selector.copy() for selector in self.more_selectors]
        copy.is_unrestricted = self.is_unrestricted
        return copy

    def with_password(self, password: str) -> User:
        """The same with a password, his only one; with an empty one he needs none."""
        user = self.copy()
        user.nopass = not password
        user.passwords = [password_hash(password.encode("utf-8", "surrogateescape"))] if password else []
        return user

    @property
    def selectors(self) -> list[Selector]:
        """All his selectors: a call is allowed where one of them allows it."""
        return [self.selector, *self.more_selectors]

    @property
    def is_open(self) -> bool:
        """Whether everybody may log in as him without a password."""
        return self.enabled and self.nopass

    def accepts(self, password: bytes) -> bool:
        """Whether one may log in as him with this password."""
        return self.enabled and (self.nopass or is_among(password, self.passwords))

    def apply(self, rule: bytes, index: CommandIndex, all_channels: bool) -> None:
        """Changes him by a rule. `all_channels`: new selectors allow all channels. Raises `RuleError`."""
        self._apply(rule, index, all_channels)
        self.is_unrestricted = any(selector.is_unrestricted for selector in self.selectors)

    def _apply(self, rule: bytes, index: CommandIndex, all_channels: bool) -> None:
        word = rule.decode("latin-1").lower()
        if not word:
            return
        if word in ("on", "off"):
            self.enabled = word == "on"
        elif word == "nopass":
            self.nopass, self.passwords = True, []
        elif word == "resetpass":
            self.nopass, self.passwords = False, []
        elif word in ("sanitize-payload", "skip-sanitize-payload"):
            self.sanitizes = word == "sanitize-payload"
        elif word[0] in ">#":
            hashed = password_hash(rule[1:]) if word[0] == ">" else _checked(rule[1:])
            if hashed not in self.passwords:
                self.passwords.append(hashed)
            self.nopass = False
        elif word[0] in "<!":
            hashed = password_hash(rule[1:]) if word[0] == "<" else _checked(rule[1:])
            if hashed not in self.passwords:
                raise RuleError(NO_SUCH_PASSWORD)
            self.passwords.remove(hashed)
        elif word[0] == "(":
            self.more_selectors.append(_new_selector(rule, index, all_channels))
        elif word == "clearselectors":
            self.more_selectors = []
        elif word == "reset":
            self._reset(all_channels)
        else:
            self.selector.apply(rule, index)

    def _reset(self, all_channels: bool) -> None:
        """Makes him what a new user is."""
        new = User(self.name, all_channels)
        self.enabled, self.nopass, self.sanitizes = new.enabled, new.nopass, new.sanitizes
        self.passwords, self.selector, self.more_selectors = new.passwords, new.selector, new.more_selectors

    def flags(self) -> list[str]:
        """His switches, as ACL GETUSER and ACL LIST name them."""
        words = ["on" if self.enabled else "off"]
        if self.nopass:
            words.append("nopass")
        words.append("sanitize-payload" if self.sanitizes else "skip-sanitize-payload")
        return words

    def describe(self) -> bytes:
        """What ACL LIST shows of him, and the line of an ACL file that makes him."""
        words = [*self._before_selectors(), *self.selector.rules_of_all()]
        words += [b"(" + selector.describe() + b")" for selector in self.more_selectors]
        return b" ".join(words)

    def line(self) -> bytes:
        """The line of a configuration file that makes him: quotes stand where a word would be read otherwise."""
        words = [word(each) for each in (*self._before_selectors(), *self.selector.rules_of_all())]
        for selector in self.more_selectors:
            inner = selector.rules_of_all()
            plain = all(word(each) == each for each in inner)
            shown = b"(" + b" ".join(inner) + b")"
            words.append(shown if plain else quoted(shown))
        return b" ".join(words)

    def _before_selectors(self) -> list[bytes]:
        words = [b"user", self.name, *[flag.encode() for flag in self.flags()]]
        return words + [b"#" + hashed for hashed in self.passwords]


def _checked(hashed: bytes) -> bytes:
    if not is_hash(hashed):
        raise RuleError(BAD_HASH)
    return hashed


def _new_selector(rule: bytes, index: CommandIndex, all_channels: bool) -> Selector:
    if not rule.endswith(b")"):
        raise RuleError(SYNTAX)
    selector = Selector(all_channels)
    for inner in rule[1:-1].split(b" "):
        if inner.endswith(b")"):
            raise RuleError(SYNTAX)  # in a description it would end the selector
        if inner:
            selector.apply(inner, index)
    return selector
