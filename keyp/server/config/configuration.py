"""What the directives of a configuration file are about: settings, users, and what is chosen only there."""

from __future__ import annotations

from typing import Final

from keyp.resp.inline import split_inline
from keyp.server.config.file import BadDirective, Directive
from keyp.server.config.table import CHECKED, OWN_NAMES, REFUSED, TABLE

INCLUDE: Final = "include"
ENDPOINT: Final = "endpoint"
JOURNAL_SIZE: Final = "journal-size"
NAMES_BY_CERTIFICATE: Final = "tls-auth-clients-user"
RENAME: Final = "rename-command"
USER: Final = "user"

UNKNOWN: Final = "Bad directive or wrong number of arguments"
ZERO_BYTE: Final = "argument has a zero byte"
NO_MODULES: Final = "Keyp has no modules"
NO_SENTINEL: Final = "sentinel directive while not in sentinel mode"
DUPLICATE: Final = (
    "Error in user declaration '{}': Duplicate user found. A user can only be defined once in config files"
)

# Directives of older versions, which Redis still takes and does not obey.
OUTDATED: Final = frozenset(("list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"))

# What CONFIG REWRITE leaves as it stands in the file: no command changes it.
LEFT_ALONE: Final = frozenset(
    [
        *(INCLUDE, ENDPOINT, JOURNAL_SIZE, NAMES_BY_CERTIFICATE, RENAME),
        *[name for setting in TABLE if setting.in_file in (CHECKED, REFUSED) for name in setting.names],
    ]
)

# Words that are secrets, or lead to one: where such a line is wrong it is not shown.
SECRET: Final = frozenset(
    (USER, "requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass")
)

# What the system is given, to which a zero byte is an end. No command changes any of it.
_GIVEN_TO_SYSTEM: Final = frozenset(
    [
        *("dir", "data-dir", "logfile", "pidfile", "aclfile", "unixsocket", "bind", "host", "syslog-ident"),
        *(ENDPOINT, INCLUDE),
    ]
)

_SETTINGS: Final = frozenset([*OWN_NAMES, *[name for setting in TABLE for name in setting.names]])
# How many words a directive that is no setting has at least and at most.
_WORDS: Final = {
    ENDPOINT: (1, 1),
    JOURNAL_SIZE: (1, 1),
    NAMES_BY_CERTIFICATE: (1, 1),
    RENAME: (2, 2),
    USER: (1, 1 << 30),
    **dict.fromkeys(OUTDATED, (1, 1)),
}


def refuse_zero_bytes(directive: Directive) -> None:
    """Raises `BadDirective` for a zero byte in what the system is to be given."""
    if directive.name in _GIVEN_TO_SYSTEM and any(b"\0" in word for word in directive.words):
        raise bad(directive, ZERO_BYTE)


class Configuration:
    """The directives of a file and of all that it includes, by what they are about. Raises `BadDirective`."""

    def __init__(self, path: str, directives: list[Directive]) -> None:
        self.path = path
        self.directives = directives
        self.settings: list[Directive] = []
        self.others: dict[str, list[Directive]] = {name: [] for name in _WORDS}
        names: set[bytes] = set()
        for directive in directives:
            name, words = directive.name, directive.words
            refuse_zero_bytes(directive)
            if name in _SETTINGS:
                self.settings.append(directive)
            elif name in _WORDS and _WORDS[name][0] <= len(words) <= _WORDS[name][1]:
                self.others[name].append(directive)
            else:
                raise bad(directive, _why_unknown(name, words))
            if name == USER:
                if words[0] in names:
                    raise bad(directive, DUPLICATE.format(words[0].decode("utf-8", "replace")))
                names.add(words[0])

    def names(self, setting: str) -> bool:
        """Whether a directive is about a setting."""
        return any(OWN_NAMES.get(directive.name, directive.name) == setting for directive in self.settings)

    def last(self, name: str) -> Directive | None:
        """The directive of that name that counts, which is no setting; None where there is none."""
        return self.others[name][-1] if self.others[name] else None

    @property
    def users(self) -> list[Directive]:
        """The declarations of users."""
        return self.others[USER]

    @property
    def secret_paths(self) -> list[str]:
        """The files that have secrets."""
        return list(dict.fromkeys(each.path for each in self.directives if each.name in SECRET and any(each.words)))


def bad(directive: Directive, reason: str) -> BadDirective:
    """The error for a directive that cannot be obeyed."""
    return BadDirective(reason, directive.line, directive.number, directive.path)


def fatal_text(version: str, error: BadDirective) -> str:
    """What an administrator is told of a line. A secret in it is not shown."""
    line = error.line.decode("utf-8", "replace")
    words = line.split(None, 1)
    if len(words) == 2 and _name(error.line) in SECRET:
        line = f"{words[0]} (not shown)"
    return (
        f"\n*** FATAL CONFIG FILE ERROR (Keyp {version}) ***\n"
        f"Reading the configuration file {error.path}, at line {error.number}\n>>> '{line}'\n{error.reason}"
    )


def _name(line: bytes) -> str:
    """The name of a directive, which may be quoted, also where what stands behind it is no words."""
    words = split_inline(line) or split_inline(line.split(None, 1)[0]) or [line.split(None, 1)[0].strip(b"\"'")]
    return words[0].lower().decode("latin-1")


def _why_unknown(name: str, words: list[bytes]) -> str:
    if name == "loadmodule" and words:
        return NO_MODULES
    return NO_SENTINEL if name == "sentinel" else UNKNOWN
