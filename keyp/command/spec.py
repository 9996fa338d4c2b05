"""What describes a command: its access, flags, keys and documentation, as its block gives them (`table.py`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from keyp.resp.values import Reply

Args: TypeAlias = list[bytes]  # the whole request: args[0] is the command's name

ARGUMENTS_MAX: Final = 1 << 31  # more than a request can have

# What a command may access: data to read, data to read and write, or the client and the server as well.
READ: Final = 0
WRITE: Final = 1
SESSION: Final = 2

# Flags, as COMMAND INFO names them …
DENYOOM: Final = 1 << 0
ADMIN: Final = 1 << 1
PUBSUB: Final = 1 << 2
NOSCRIPT: Final = 1 << 3
BLOCKING: Final = 1 << 4
LOADING: Final = 1 << 5
STALE: Final = 1 << 6
SKIP_MONITOR: Final = 1 << 7
SKIP_SLOWLOG: Final = 1 << 8
FAST: Final = 1 << 9
NO_AUTH: Final = 1 << 10
MAY_REPLICATE: Final = 1 << 11  # no write, but held by CLIENT PAUSE WRITE; not in COMMAND INFO
NO_MULTI: Final = 1 << 12
MOVABLEKEYS: Final = 1 << 13
ALLOW_BUSY: Final = 1 << 14
NO_ASYNC_LOADING: Final = 1 << 15
PROTECTED: Final = 1 << 16
NO_MANDATORY_KEYS: Final = 1 << 17
# What COMMAND INFO calls a session command that reads or writes data; of others it follows from the access.
READS_DATA: Final = 1 << 18
WRITES_DATA: Final = 1 << 19
# … and our own, which say how a call runs. The work grows with the database, so it leaves the reactor's thread:
WALKS: Final = 1 << 20
# carried out at once even while a MULTI is queueing:
NOT_QUEUED: Final = 1 << 21
# allowed to a client that listens to channels in RESP2, where nothing tells a reply from a message:
FOR_SUBSCRIBERS: Final = 1 << 22
# begins to queue the calls behind it, and runs the queued ones where they belong, on the writer if one of them writes:
BEGINS_QUEUE: Final = 1 << 23
RUNS_QUEUE: Final = 1 << 24
# a command of Keyp's own, which Redis lacks: nothing of it is compared with a real server:
OWN: Final = 1 << 25
# runs a script, which may write, so that it belongs on the writer, unless the script says that it does not:
RUNS_SCRIPT: Final = 1 << 26

FLAG_NAMES: Final = (
    (WRITES_DATA, "write"),
    (READS_DATA, "readonly"),
    (DENYOOM, "denyoom"),
    (ADMIN, "admin"),
    (PUBSUB, "pubsub"),
    (NOSCRIPT, "noscript"),
    (BLOCKING, "blocking"),
    (LOADING, "loading"),
    (STALE, "stale"),
    (SKIP_MONITOR, "skip_monitor"),
    (SKIP_SLOWLOG, "skip_slowlog"),
    (FAST, "fast"),
    (NO_AUTH, "no_auth"),
    (NO_MULTI, "no_multi"),
    (NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (MOVABLEKEYS, "movablekeys"),
    (ALLOW_BUSY, "allow_busy"),
    (NO_ASYNC_LOADING, "no_async_loading"),
)


REDACTED: Final = b"(redacted)"


class KeySpec:
    """Where keys stand among the arguments, and what is done with them.

    From argument `begin` to `last` (counted from `begin`; negative: from the end, -1 is the last one), each `step`.
    `flags` are Redis's words: RO, RW, OW or RM, then access, update, insert or delete; with `variable_flags` the
    arguments decide, by `flags_of` if it is given.
    """

    def __init__(
        self, begin: int, last: int, step: int, flags: str, flags_of: Callable[[Args], str] | None = None
    ) -> None:
        self.begin = begin
        self.last = last
        self.step = step
        self.flags = flags
        self.notes = ""
        self._flags_of = flags_of

    def flags_in(self, call: Args) -> list[str]:
        """What this call does with the keys."""
        words = self.flags if self._flags_of is None else self._flags_of(call)
        return [word for word in words.split() if word != "variable_flags"]

    def positions(self, call: Args) -> list[int]:
        """The indexes of the keys in a call. Raises `ValueError` where the call does not make sense."""
        count = len(call)
        last = self.begin + self.last if self.last >= 0 else count + self.last
        if not self.begin <= last < count:
            raise ValueError
        return list(range(self.begin, last + 1, self.step))

    def is_plain(self) -> bool:
        """Whether the keys stand in the same places in every call of the same length."""
        return True

    def is_of_patterns(self) -> bool:
        """Whether the keys' names are made of the patterns among the arguments."""
        return False

    def search(self) -> dict[bytes, Reply]:
        """How the first key is found, for COMMAND INFO."""
        return _described(b"index", {b"index": self.begin})

    def find(self) -> dict[bytes, Reply]:
        """How the keys are found from there, for COMMAND INFO."""
        return _described(b"range", {b"lastkey": self.last, b"keystep": self.step, b"limit": 0})


class CountedKeys(KeySpec):
    """As many keys as the argument at `begin` says, right behind it."""

    def __init__(self, begin: int, flags: str, notes: str) -> None:
        super().__init__(begin, 0, 1, flags)
        self.notes = notes

    def positions(self, call: Args) -> list[int]:
        """As many keys as the number says. Raises `ValueError` for 0 or more than there are arguments."""
        digits = _LEADING_NUMBER.match(call[self.begin])
        count = 0 if digits is None else int(digits[0])
        if not 0 < count < len(call) - self.begin:
            raise ValueError
        return list(range(self.begin + 1, self.begin + 1 + count))

    def is_plain(self) -> bool:
        """They do not."""
        return False

    def find(self) -> dict[bytes, Reply]:
        """A number and what is counted by it."""
        return _described(b"keynum", {b"keynumidx": 0, b"firstkey": 1, b"keystep": 1})


class KeyBehindWord(KeySpec):
    """A key behind the option `word`, from argument `begin` on. Of several `rivals` the last one in a call counts."""

    def __init__(self, word: bytes, begin: int, flags: str, rivals: tuple[bytes, ...]) -> None:
        super().__init__(begin, 0, 1, flags)
        self.word = word
        self.rivals = rivals

    def positions(self, call: Args) -> list[int]:
        """The argument behind the word, if it has one and is the one that counts."""
        found, word = 0, b""
        at = self.begin
        while at + 1 < len(call):
            if call[at].upper() in self.rivals:
                found, word = at + 1, call[at].upper()
                at += 1
            at += 1
        return [found] if word == self.word else []

    def is_plain(self) -> bool:
        """It does not."""
        return False

    def search(self) -> dict[bytes, Reply]:
        """A word, and where it may begin."""
        return _described(b"keyword", {b"keyword": self.word, b"startfrom": self.begin})


class KeysBehindWord(KeySpec):
    """The first half of all that stands behind the option `word`, which is looked for from argument `begin` on."""

    def __init__(self, word: bytes, begin: int, flags: str) -> None:
        super().__init__(begin, -1, 1, flags)
        self.word = word

    def positions(self, call: Args) -> list[int]:
        """The arguments of the first half. Raises `ValueError` where there are none."""
        for at in range(self.begin, len(call)):
            if call[at].upper() == self.word:
                count = (len(call) - at - 1) // 2
                if count:
                    return list(range(at + 1, at + 1 + count))
                break
        raise ValueError

    def is_plain(self) -> bool:
        """They do not."""
        return False

    def search(self) -> dict[bytes, Reply]:
        """A word, and where it may begin."""
        return _described(b"keyword", {b"keyword": self.word, b"startfrom": self.begin})

    def find(self) -> dict[bytes, Reply]:
        """Half of what follows."""
        return _described(b"range", {b"lastkey": self.last, b"keystep": self.step, b"limit": 2})


class UnknownKeys(KeySpec):
    """Keys whose names are no arguments: they are made of patterns and of what a key holds."""

    def __init__(self, flags: str) -> None:
        super().__init__(0, 0, 1, flags)

    def positions(self, call: Args) -> list[int]:
        """None."""
        return []

    def is_plain(self) -> bool:
        """They do not."""
        return False

    def is_of_patterns(self) -> bool:
        """They are."""
        return True

    def search(self) -> dict[bytes, Reply]:
        """Not known from the arguments."""
        return _described(b"unknown", {})

    def find(self) -> dict[bytes, Reply]:
        """Not known from the arguments."""
        return _described(b"unknown", {})

    def options_in(self, call: Args) -> list[bytes]:
        """The options of a call that have patterns which lead to keys."""
        return [call[at] for at in _sort_options(call) if _leads_to_keys(call, at)]


class KeyToStore(UnknownKeys):
    """SORT's key behind the last STORE, a word that may also be the argument of another option."""

    def is_of_patterns(self) -> bool:
        """It is an argument."""
        return False

    def positions(self, call: Args) -> list[int]:
        """The argument behind the last STORE that is no other option's argument."""
        found = [at + 1 for at in _sort_options(call) if call[at].upper() == b"STORE" and at + 1 < len(call)]
        return found[-1:]


_SORT_OPERANDS: Final = {b"LIMIT": 2, b"GET": 1, b"BY": 1}


def _sort_options(call: Args) -> list[int]:
    """Where a call of SORT has words that are no operands of others."""
    found: list[int] = []
    at = 2
    while at < len(call):
        found.append(at)
        at += 1 + _SORT_OPERANDS.get(call[at].upper(), 0)
    return found


def _leads_to_keys(call: Args, at: int) -> bool:
    word = call[at].upper()
    return at + 1 < len(call) and (word == b"GET" or (word == b"BY" and b"*" in call[at + 1]))


class ChannelSpec:
    """Where channels stand among the arguments: at `begin`, or from there to the end. They may be patterns."""

    def __init__(self, begin: int, reaches_end: bool = False, are_patterns: bool = False) -> None:
        self.are_patterns = are_patterns
        self._begin = begin
        self._reaches_end = reaches_end

    def positions(self, call: Args) -> list[int]:
        """The indexes of the channels in a call."""
        return list(range(self._begin, len(call) if self._reaches_end else self._begin + 1))


_LEADING_NUMBER: Final = re.compile(rb"[0-9]{1,18}")


def _described(spec_type: bytes, spec: dict[bytes, Reply]) -> dict[bytes, Reply]:
    return {b"type": spec_type, b"spec": spec}


def key_at(position: int, flags: str, flags_of: Callable[[Args], str] | None = None) -> tuple[KeySpec, ...]:
    """One key, the argument at `position` (the command's name is 0). `flags_of` gives its flags in a call."""
    return (KeySpec(position, 0, 1, flags, flags_of),)


def keys_from(position: int, flags: str, step: int = 1) -> tuple[KeySpec, ...]:
    """Every `step`-th argument from `position` on."""
    return (KeySpec(position, -1, step, flags),)


def counted_keys(position: int, flags: str, notes: str = "") -> tuple[KeySpec, ...]:
    """As many keys as the argument at `position` says, right behind it. COMMAND INFO shows the notes."""
    return (CountedKeys(position, flags, notes),)


class CommandSpec:
    """Everything about one command or subcommand. `function` is None for a container."""

    def __init__(
        self,
        name: str,
        group: str,
        access: int,
        function: Callable[[Any, Args], Reply] | None,
        arity: int,
        keys: tuple[KeySpec, ...],
        flags: int,
        since: str,
        summary: str,
        syntax: str,
        complexity: str,
        categories: str,
        tips: tuple[str, ...],
        aliases: tuple[str, ...],
        secrets: Callable[[Args], list[int]] | None = None,
        channels: ChannelSpec | None = None,
    ) -> None:
        self.name = name
        self.group = group
        self.access = access
        self.function = function
        self.arity = arity
        self.keys = keys
        self.channels = channels
        self.flags = flags
        self.since = since
        self.summary = summary
        self.syntax = syntax
        self.complexity = complexity
        self.categories = categories
        self.tips = tips
        self.aliases = aliases
        self._secrets = secrets
        self.full_name = name.lower()
        self.subcommands: dict[bytes, CommandSpec] = {}
        self.is_write = access == WRITE
        self.walks = bool(flags & WALKS)
        self.least_count = arity if arity >= 0 else -arity  # of arguments, the name counted …
        self.most_count = arity if arity >= 0 else ARGUMENTS_MAX  # … as `accepts` has it

    def __repr__(self) -> str:
        return f"<command {self.full_name}>"

    def without_secrets(self, call: Args) -> Args:
        """A call as it may be shown to other clients: without its passwords."""
        if self._secrets is None:
            return call
        hidden = self._secrets(call)
        return [REDACTED if place in hidden else arg for place, arg in enumerate(call)]

    def accepts(self, count: int) -> bool:
        """Whether a call of `count` arguments, the name counted, fits the arity."""
        return self.least_count <= count <= self.most_count
