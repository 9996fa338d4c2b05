"""Reads a configuration file from the disk, with all that it includes, and sees that it can be obeyed.

Whatever is wrong with it is found before anything has been opened or started.
"""

from __future__ import annotations

import glob
import os
import stat
import sys
from typing import Final, NoReturn

from keyp.command.permission import command_index
from keyp.command.registry import Registry
from keyp.commands.all import TABLES
from keyp.errors import printable
from keyp.server.acl.command_index import CommandIndex
from keyp.server.acl.rules import BadRule, declared_user
from keyp.server.acl.user import User
from keyp.server.config import Settings
from keyp.server.config.configuration import INCLUDE, RENAME, Configuration, bad, refuse_zero_bytes
from keyp.server.config.file import Directive, parse

INCLUDES_MAX: Final = 32  # how deep files may include each other; Redis ends where its stack does
WILD: Final = "*?["

NO_SUCH_COMMAND: Final = "No such command in rename-command"
NAME_TAKEN: Final = "Target command name already exists"
TOO_DEEP: Final = "Files include each other too deep"
TWO_PLACES_OF_USERS: Final = (
    "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup"
    " is very likely to lead to configuration errors and security holes, please define either an ACL file or declare"
    " users directly in your redis.conf, but not both."
)


def load(path: str, settings: Settings) -> Configuration:
    """What the file at `path` says; `settings` have it then. Raises `BadDirective`, ends the process as `read` does."""
    path = os.path.abspath(path)
    configuration = Configuration(path, read(path))
    settings.start_with(configuration.settings)
    settings.config_file = path
    included = [each.path for each in configuration.users if each.path != path]
    settings.users_file_included = included[0] if included else ""
    _try_commands(configuration, settings)
    return configuration


def read(path: str, depth: int = 0) -> list[Directive]:
    """The directives of a file, those of files that it includes in the place of `include`. Raises `BadDirective`.

    Ends the process where one of them cannot be opened, with Redis's text: no line is to blame.
    """
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        _cannot_open(path, error)
    directives: list[Directive] = []
    for directive in parse(text, path):
        if directive.name != INCLUDE or len(directive.words) != 1:
            directives.append(directive)
            continue
        refuse_zero_bytes(directive)
        if depth == INCLUDES_MAX:
            raise bad(directive, TOO_DEEP)
        pattern = os.fsdecode(directive.words[0])
        is_pattern = any(sign in pattern for sign in WILD)
        for included in sorted(glob.glob(pattern)) if is_pattern else [pattern]:
            directives += read(included, depth + 1)
    return directives


def declared_users(configuration: Configuration, index: CommandIndex, all_channels: bool) -> dict[bytes, User]:
    """The users that a configuration declares, by name. Raises `BadDirective`."""
    users: dict[bytes, User] = {}
    for directive in configuration.users:
        try:
            users[directive.words[0]] = declared_user(directive.words, index, all_channels)
        except BadRule as error:
            raise bad(directive, f"Error in user declaration '{printable(error.word)}': {error.reason}") from None
    return users


def readable_to_all(configuration: Configuration) -> list[str]:
    """The files that have secrets and are readable to everybody on the machine."""
    found: list[str] = []
    for path in configuration.secret_paths:
        try:
            if os.stat(path).st_mode & stat.S_IROTH:
                found.append(path)
        except OSError:
            continue
    return found


def _cannot_open(path: str, error: OSError) -> NoReturn:
    """Ends the process with Redis's text."""
    sys.exit(f"keyp: Fatal error, can't open config file '{path}': {error.strerror}")


def _try_commands(configuration: Configuration, settings: Settings) -> None:
    """Sees that commands can have the names, and users the rules, that they are given. Raises `BadDirective`."""
    if not configuration.users and not configuration.others[RENAME]:
        return
    registry = Registry(TABLES)
    declared_users(configuration, command_index(registry), settings.acl_all_channels)
    for directive in configuration.others[RENAME]:
        old, new = directive.words
        if registry.get(old) is None:
            raise bad(directive, NO_SUCH_COMMAND)
        try:
            registry.rename(old, new)
        except ValueError:
            raise bad(directive, NAME_TAKEN) from None
