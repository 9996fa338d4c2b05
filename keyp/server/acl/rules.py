"""Rules as they are written: of one user in ACL SETUSER, of all of them in a file.

The forms and texts are those of Redis 7.2 (acl.c).
"""

from __future__ import annotations

from typing import Final

from keyp.errors import printable
from keyp.server.acl.command_index import CommandIndex
from keyp.server.acl.selector import UNKNOWN, RuleError, has_spaces
from keyp.server.acl.user import User
from keyp.server.acl.users import DEFAULT, default_user

SPACES_IN_NAME: Final = "Spaces not allowed in ACL usernames"
UNMATCHED: Final = "Unmatched parenthesis in selector definition."
NOTHING_CHANGED: Final = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"


class Unmatched(Exception):
    """A selector that is opened and not closed, by the rule that opens it."""

    def __init__(self, rule: bytes) -> None:
        super().__init__(rule)
        self.rule = rule


def join_selectors(words: list[bytes]) -> list[bytes]:
    """Rules from words: those of a selector, from `(` to `)`, are one rule. Raises `Unmatched`."""
    rules: list[bytes] = []
    opened: list[bytes] = []
    for word in words:
        if opened or (word.startswith(b"(") and not word.endswith(b")")):
            opened.append(word)
            if word.endswith(b")"):
                rules.append(b" ".join(opened))
                opened = []
        else:
            rules.append(word)
    if opened:
        raise Unmatched(opened[0])
    return rules


class BadRule(Exception):
    """A declaration of a user that is refused: by which word, and why. Of a password only its first letter is told."""

    def __init__(self, word: bytes, reason: str) -> None:
        super().__init__(reason)
        self.word = word[:1] if word.startswith((b">", b"<", b"#", b"!")) else word
        self.reason = reason


def declared_user(words: list[bytes], index: CommandIndex, all_channels: bool) -> User:
    """The user that a configuration file declares: his name and his rules. Raises `BadRule`."""
    name = words[0]
    if has_spaces(name):
        raise BadRule(name, SPACES_IN_NAME)
    user = User(name, all_channels)
    rule = name
    try:
        for rule in join_selectors(words[1:]):
            user.apply(rule, index, all_channels)
    except Unmatched as unmatched:
        raise BadRule(unmatched.rule, UNMATCHED) from None
    except RuleError as error:
        raise BadRule(rule, str(error)) from None
    return user


class FileErrors(Exception):
    """What is wrong with a file of users, in one line."""


def parse_file(text: bytes, path: str, index: CommandIndex, all_channels: bool) -> dict[bytes, User]:
    """The users of an ACL file, by name. Without a line of his own the default user may do everything.

    Raises `FileErrors`, which names every line that is wrong.
    """
    users: dict[bytes, User] = {}
    errors = ""
    for number, line in enumerate(text.split(b"\n"), 1):
        where = f"{path}:{number}"
        line = line.strip(b" \t\r\n")
        if not line:
            continue
        words = line.split(b" ")  # what is in quotes stands as it is: so does `describe` write it
        if words[0] != b"user" or len(words) < 2:
            errors += f"{where} should start with user keyword followed by the username. "
        elif has_spaces(words[1]):
            errors += f"'{where}: username '{printable(words[1])}' contains invalid characters. "
        elif words[1] in users:
            errors += f"WARNING: Duplicate user '{printable(words[1])}' found on line {number}. "
        else:
            user = users[words[1]] = User(words[1], all_channels)
            errors += _apply_all(user, words[2:], where, index, all_channels)
    if errors:
        raise FileErrors(errors + NOTHING_CHANGED)
    if DEFAULT not in users:
        users[DEFAULT] = default_user(index)
    return users


def _apply_all(user: User, words: list[bytes], where: str, index: CommandIndex, all_channels: bool) -> str:
    """Applies the rules of a line; what is wrong with them. Of errors that others may follow from only the first."""
    try:
        rules = join_selectors(words)
    except Unmatched:
        return f"{where}: {UNMATCHED}"
    errors = ""
    has_failed = False
    for rule in rules:
        try:
            user.apply(rule, index, all_channels)
        except RuleError as error:
            reason = str(error)
            if reason == UNKNOWN:
                errors += f"{where}: Error in applying operation '{printable(rule)}': {reason}. "
            elif not has_failed:
                errors += f"{where}: {reason}. "
                has_failed = True
    return errors
