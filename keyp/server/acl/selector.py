"""A selector: commands, keys and channels that go together. A user has one, and may have more.

What a rule means, and what is refused, is as in Redis 7.2 (acl.c).
"""

from __future__ import annotations

from typing import Final

from keyp.algorithms.glob import Glob
from keyp.server.acl.command_index import CommandIndex

# What may be done with keys that match a pattern.
READ_KEY: Final = 1
WRITE_KEY: Final = 2
_LETTERS: Final = {"R": READ_KEY, "W": WRITE_KEY}

# Why a rule is refused.
SYNTAX: Final = "Syntax error"
UNKNOWN: Final = "Unknown command or category name in ACL"
AFTER_ALL_KEYS: Final = (
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. "
    "Try 'resetkeys' to start with an empty list of patterns"
)
AFTER_ALL_CHANNELS: Final = (
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. "
    "Try 'resetchannels' to start with an empty list of channels"
)
FIRST_ARGUMENT_OF_SUBCOMMAND: Final = "Allowing first-arg of a subcommand is not supported"


class RuleError(Exception):
    """A rule that is refused; says why."""


class KeyPattern:
    """A pattern of keys, and what may be done with those it matches: READ_KEY, WRITE_KEY or both."""

    def __init__(self, pattern: bytes, access: int) -> None:
        self.pattern = pattern
        self.access = access
        self._glob = Glob(pattern)

    def allows(self, key: bytes, access: int) -> bool:
        """Whether all of `access` may be done with a key."""
        return self.access & access == access and self._glob.matches(key)

    def describe(self) -> bytes:
        """The rule that makes this pattern."""
        if self.access == READ_KEY | WRITE_KEY:
            return b"~" + self.pattern
        return (b"%R~" if self.access == READ_KEY else b"%W~") + self.pattern


class Selector:
    """Which commands may be called, with which keys and channels.

    `rules` are the rules about commands that have led to `commands`, first `+@all` or `-@all`.
    """

    def __init__(self, all_channels: bool) -> None:
        self.all_commands = False
        self.commands: set[str] = set()
        self.first_arguments: dict[str, list[bytes]] = {}
        self.rules = ["-@all"]
        self.all_keys = False
        self.keys: list[KeyPattern] = []
        self.all_channels = all_channels
        self.channels: list[bytes] = []

    def copy(self) -> Selector:
        """One that can be changed without this one."""
        copy = Selector(self.all_channels)
        copy.all_commands = self.all_commands
        copy.commands = self.commands.copy()
        copy.first_arguments = {name: list(words) for name, words in self.first_arguments.items()}
        copy.rules = self.rules.copy()
        copy.all_keys = self.all_keys
        copy.keys = [KeyPattern(key.pattern, key.access) for key in self.keys]
        copy.channels = self.channels.copy()
        return copy

    @property
    def is_unrestricted(self) -> bool:
        """Whether it allows everything."""
        return self.all_commands and self.all_keys and self.all_channels

    # What it allows.

    def allows_command(self, name: str, first_argument: bytes) -> bool:
        """Whether a command may be called; `first_argument` is what follows its name, empty where nothing does."""
        if self.all_commands or name in self.commands:
            return True
        words = self.first_arguments.get(name)
        return words is not None and first_argument.lower() in words

    def allows_key(self, key: bytes, access: int) -> bool:
        """Whether all of `access` may be done with a key."""
        if self.all_keys:
            return True
        return any(pattern.allows(key, access) for pattern in self.keys)

    def allows_all_keys(self, access: int) -> bool:
        """Whether all of `access` may be done with every key."""
        return self.all_keys or any(each.pattern == b"*" and each.access & access == access for each in self.keys)

    def allows_channel(self, channel: bytes, is_pattern: bool) -> bool:
        """Whether a channel may be used. A pattern to subscribe to must be one of those allowed, to the letter."""
        if self.all_channels:
            return True
        if is_pattern:
            return channel in self.channels
        return any(Glob(pattern).matches(channel) for pattern in self.channels)

    # Its rules.

    def apply(self, rule: bytes, index: CommandIndex) -> None:
        """Changes what is allowed by a rule. Raises `RuleError`."""
        word = rule.decode("latin-1").lower()
        if word in ("allkeys", "~*"):
            self.all_keys, self.keys = True, []
        elif word == "resetkeys":
            self.all_keys, self.keys = False, []
        elif word in ("allchannels", "&*"):
            self.all_channels, self.channels = True, []
        elif word == "resetchannels":
            self.all_channels, self.channels = False, []
        elif word in ("allcommands", "+@all"):
            self._set_all(index.names, True)
        elif word in ("nocommands", "-@all"):
            self._set_all((), False)
        elif word.startswith(("~", "%")):
            self._add_keys(rule)
        elif word.startswith("&"):
            self._add_channel(rule[1:])
        elif word.startswith(("+@", "-@")):
            self._set_category(word, index)
        elif word.startswith("+"):
            self._allow_command(rule[1:], index)
        elif word.startswith("-"):
            name = index.find(rule[1:])
            if not name:
                raise RuleError(UNKNOWN)
            self._set_command(name, False, index)
            self._note(name, False)
        else:
            raise RuleError(SYNTAX)

    def _set_all(self, names: set[str] | tuple[()], allowed: bool) -> None:
        self.all_commands = allowed
        self.commands = set(names)
        self.first_arguments = {}
        self.rules = ["+@all" if allowed else "-@all"]

    def _add_keys(self, rule: bytes) -> None:
        if self.all_keys:
            raise RuleError(AFTER_ALL_KEYS)
        letters, _, pattern = rule.partition(b"~")
        access = READ_KEY | WRITE_KEY
        if letters:
            given = [_LETTERS.get(chr(letter).upper(), 0) for letter in letters[1:]]
            access = sum(given)
            if not given or 0 in given or len(set(given)) < len(given):
                raise RuleError(SYNTAX)
        _refuse_spaces(pattern)
        for known in self.keys:
            if known.pattern == pattern:
                known.access |= access
                return
        self.keys.append(KeyPattern(pattern, access))

    def _add_channel(self, pattern: bytes) -> None:
        if self.all_channels:
            raise RuleError(AFTER_ALL_CHANNELS)
        _refuse_spaces(pattern)
        if pattern not in self.channels:
            self.channels.append(pattern)

    def _set_category(self, word: str, index: CommandIndex) -> None:
        names = index.in_category(word[2:])
        if names is None:
            raise RuleError(UNKNOWN)
        allowed = word[0] == "+"
        self._note(word[1:], allowed)
        for name in names:
            self._set_command(name, allowed, index)

    def _allow_command(self, given: bytes, index: CommandIndex) -> None:
        container, bar, word = given.rpartition(b"|")
        name = index.find(container if bar else given)
        if not name:
            raise RuleError(UNKNOWN)
        if not bar:
            self._set_command(name, True, index)
            self._note(name, True)
            return
        if "|" in name:
            raise RuleError(FIRST_ARGUMENT_OF_SUBCOMMAND)
        if not word:
            raise RuleError(SYNTAX)
        if index.subcommands(name):
            found = index.find(given)
            if not found:
                raise RuleError(UNKNOWN)
            self._set_command(found, True, index)
        else:
            _refuse_spaces(word)
            words = self.first_arguments.setdefault(name, [])
            if word.lower() not in words:
                words.append(word.lower())
        self._note(given.decode("latin-1").lower(), True)

    def _set_command(self, name: str, allowed: bool, index: CommandIndex) -> None:
        """Allows or forbids a command with all its subcommands."""
        names = [name, *index.subcommands(name)]
        self.first_arguments.pop(name, None)
        if allowed:
            self.commands.update(names)
        else:
            self.all_commands = False
            self.commands.difference_update(names)

    def _note(self, rule: str, allowed: bool) -> None:
        """Keeps a rule about commands; what it overrules, itself or what is said of subcommands, is dropped."""
        kept = [old for old in self.rules if old[1:] != rule and not old[1:].startswith(rule + "|")]
        self.rules = [*kept, ("+" if allowed else "-") + rule]

    # How it is shown.

    def describe_commands(self) -> bytes:
        """The rules about commands."""
        return " ".join(self.rules).encode("latin-1")

    def describe_keys(self) -> bytes:
        """The rules about keys."""
        return b" ".join(self._key_rules())

    def _key_rules(self) -> list[bytes]:
        if self.all_keys:
            return [b"~*"]
        rules = [pattern.describe() for pattern in self.keys]
        if len(rules) > 1:  # as a rule `~*` stands for all keys, and takes no pattern beside it
            rules = [b"%RW~*" if rule == b"~*" else rule for rule in rules]
        return rules

    def describe_channels(self) -> bytes:
        """The rules about channels."""
        return b"&*" if self.all_channels else b" ".join([b"&" + pattern for pattern in self.channels])

    def describe(self) -> bytes:
        """All rules that make this selector from an empty one."""
        return b" ".join(self.rules_of_all())

    def rules_of_all(self) -> list[bytes]:
        """The same, each rule by itself."""
        rules = self._key_rules()
        if not self.all_channels:
            rules.append(b"resetchannels")
        rules += [b"&*"] if self.all_channels else [b"&" + pattern for pattern in self.channels]
        return rules + [rule.encode("latin-1") for rule in self.rules]


def has_spaces(text: bytes) -> bool:
    """Whether a text has what separates rules, or a zero byte: no name or pattern may."""
    return any(byte in b" \t\n\v\f\r\0" for byte in text)


def _refuse_spaces(pattern: bytes) -> None:
    if has_spaces(pattern):
        raise RuleError(SYNTAX)
