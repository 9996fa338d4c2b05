"""The options of `twistd keyp` and `keyp`: from the command line, and behind it from a configuration file.

What the command line does not say the file does, and what neither says is as the table of settings has it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.python import usage

import keyp
from keyp.net import config_file
from keyp.server.config import INT64_MAX, Invalid, Memory, Settings
from keyp.server.config.configuration import (
    ENDPOINT,
    JOURNAL_SIZE,
    NAMES_BY_CERTIFICATE,
    RENAME,
    Configuration,
    bad,
    fatal_text,
)
from keyp.server.config.file import BadDirective
from keyp.storage.lmdb.environment import ALWAYS, EVERYSEC, NO
from keyp.storage.lmdb.journal import RING_BYTES

DEFAULT_HOST = "localhost"
DEFAULT_PORT = 6377
DEFAULT_DATA_DIR = "./data"
DATABASES_MAX = 1024
DIGITS_MAX = 4300  # Python does not read more
# Settings that twistd has options for.
OF_DAEMON = ("daemonize", "pidfile", "logfile", "syslog-enabled", "syslog-ident")
WHO = ["yes", "local", "no"]
OFF_OR_CN = ["off", "cn"]
# Which settings options choose the values of.
SETTINGS = {
    "host": "bind",
    "port": "port",
    "data-dir": "dir",
    "databases": "databases",
    "fsync": "appendfsync",
    "max-size": "maxmemory",
    **{
        name: name
        for name in (
            "enable-debug-command", "enable-protected-configs", "requirepass", "aclfile", "protected-mode",
            "tls-port", "tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-ca-cert-dir", "tls-auth-clients",
            "tls-protocols", "tls-ciphers", "tls-ciphersuites",
        )
    },
}  # fmt: skip


def install_reactor() -> None:
    """Installs the lean reactor, unless one is installed already; where there is no epoll, Twisted chooses."""
    if "twisted.internet.reactor" in sys.modules:
        return
    try:
        from keyp.net import reactor
    except ImportError:
        return
    reactor.install()


def _number(option: str, low: int, high: int) -> object:
    def convert(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < DIGITS_MAX and low <= int(text) <= high):
            raise usage.UsageError(f"{option} is a number between {low} and {high}, not {text!r}")
        return int(text)

    convert.coerceDoc = f"A number between {low} and {high}."  # type: ignore[attr-defined]
    return convert


def _size(text: str) -> int:
    try:
        return int(Memory(0, INT64_MAX).parse(text.encode()))
    except Invalid as error:
        raise ValueError(str(error)) from None


_size.coerceDoc = "A number of bytes, or one with kb, mb or gb."  # type: ignore[attr-defined]


def _off_or_cn(text: str) -> str:
    if text.lower() not in OFF_OR_CN:
        raise ValueError("argument must be 'off' or 'cn'")
    return text.lower()


class Options(usage.Options):
    """What the command line and the configuration file have chosen: each option by its long name.

    `endpoint` and `rename-command` are lists. `settings` has all settings, `configuration` what the file says, None
    without one. `wants-tcp` says whether there is to be a port without TLS.
    """

    longdesc = "A Redis-compatible key-value server that keeps what it has acknowledged."
    optParameters = [  # noqa: RUF012 - the name and the form are Twisted's
        ["config", "c", None, "Configuration file with the syntax of redis.conf; options count more than it."],
        ["host", "h", None, f"Address or name to listen on, or several with spaces between. [default: {DEFAULT_HOST}]"],
        ["port", "p", None, f"TCP port. [default: {DEFAULT_PORT}]", _number("--port", 0, 65535)],
        ["data-dir", "d", None, f"Directory of the store; made if it is not there. [default: {DEFAULT_DATA_DIR}]"],
        [
            "databases",
            None,
            None,
            "How many databases SELECT can choose from. [default: 16]",
            _number("--databases", 1, DATABASES_MAX),
        ],
        ["fsync", None, None, f"When a write is synced to the disk: {ALWAYS}, {EVERYSEC} or {NO}. [default: {ALWAYS}]"],
        ["enable-debug-command", None, None, "Who may call DEBUG: yes (all), local (from this machine) or no."],
        ["enable-protected-configs", None, None, "Who may change protected settings: yes, local or no."],
        ["requirepass", None, None, "Password of the user default. Others on this machine see it; a file is safer."],
        ["aclfile", None, None, "File of users, which ACL LOAD and ACL SAVE use."],
        ["protected-mode", None, None, "Serve this machine only while no password is needed: yes or no."],
        [
            "tls-port",
            None,
            None,
            "TCP port for TLS; no other then, unless --port says so",
            _number("--tls-port", 0, 65535),
        ],
        ["tls-cert-file", None, None, "Certificate of the server, with the chain behind it."],
        ["tls-key-file", None, None, "Its key, if it is not in the same file."],
        ["tls-ca-cert-file", None, None, "Who signs the certificates of clients."],
        ["tls-ca-cert-dir", None, None, "A directory of such files."],
        ["tls-auth-clients", None, None, "Whether clients need a certificate: yes, optional or no."],
        ["tls-auth-clients-user", None, None, "cn: a certificate's common name is the user it logs in."],
        ["tls-protocols", None, None, "Versions of TLS. [default: TLSv1.2 TLSv1.3]"],
        ["tls-ciphers", None, None, "Ciphers up to TLS 1.2."],
        ["tls-ciphersuites", None, None, "Ciphers of TLS 1.3."],
        ["journal-size", None, None, "Size of the journal. [default: 8mb]", _size],
        ["max-size", None, None, "Limit of the data in use, such as 500mb or 20gb. [default: the disk]", _size],
    ]
    compData = usage.Completions(
        optActions={
            "fsync": usage.CompleteList([ALWAYS, EVERYSEC, NO]),
            "enable-debug-command": usage.CompleteList(WHO),
            "enable-protected-configs": usage.CompleteList(WHO),
            "config": usage.CompleteFiles(),
            "aclfile": usage.CompleteFiles(),
            "protected-mode": usage.CompleteList(["yes", "no"]),
        }
    )

    def __init__(self) -> None:
        usage.Options.__init__(self)
        self["endpoint"] = []
        self["rename-command"] = []
        self.settings = Settings()
        self.configuration: Configuration | None = None
        self["lost"] = False  # set by a server that has stopped without having brought everything to the disk

    def opt_endpoint(self, description: str) -> None:
        """Listen on a Twisted endpoint like unix:/run/keyp.sock; repeatable. Only there without --host and --port."""
        self["endpoint"].append(description)

    def opt_rename_command(self, names: str) -> None:
        """OLD=NEW: clients have to call a command by another name; OLD= switches it off. Repeatable, as in Redis."""
        old, equals, new = names.partition("=")
        if not old or not equals:
            raise usage.UsageError(f"--rename-command is OLD=NEW, or OLD= to switch it off, not {names!r}")
        self["rename-command"].append((old.encode(), new.encode()))

    def parseOptions(self, options: Any = None) -> None:
        """Called by Twisted with the words. Where the first one is no option it is the configuration file's path."""
        words = list(sys.argv[1:] if options is None else options)
        if words and not words[0].startswith("-"):
            words.insert(0, "--config")
        usage.Options.parseOptions(self, words)

    def parseArgs(self, *arguments: str) -> None:
        """Called by Twisted with what is no option. Raises `UsageError`: all arguments are options."""
        if arguments:
            raise usage.UsageError(f"{arguments[0]!r} is not an option; a configuration file comes first")

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"Keyp {keyp.__version__}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Called by Twisted when all options are read. Raises `UsageError` for values that make no sense.

        Ends the process where the configuration file makes none.
        """
        self._check_words()
        if self["requirepass"] and self["aclfile"]:
            raise usage.UsageError("--requirepass and --aclfile exclude each other: the file has the passwords")
        if self["config"] is not None:
            self._take_from_file(self["config"])
        host_given, port_given = self._is_given("host"), self._is_given("port")
        no_port = self["port"] is None and self.settings.value("port") == 0
        self._choose_settings()
        if self["aclfile"] and self.configuration is not None and self.configuration.users:
            sys.exit(config_file.TWO_PLACES_OF_USERS)
        if not self["data-dir"]:
            raise usage.UsageError("--data-dir is empty")
        others_alone = self["endpoint"] and not host_given
        self["wants-tcp"] = not no_port and (port_given or not (self["tls-port"] or others_alone))
        if self.parent is not None:  # twistd's or twist's: --reactor stands before `keyp` and has been obeyed
            self.settings.without_effect += [name for name in OF_DAEMON if self.settings.differs(name)]
            install_reactor()

    def _is_given(self, name: str) -> bool:
        """Whether the command line or the file says anything of an option that stands for a setting."""
        in_file = self.configuration is not None and self.configuration.names(SETTINGS[name])
        return self[name] is not None or in_file

    def _choose_settings(self) -> None:
        """Settings and options are the same from now on: as the command line says, or the file, or by default."""
        if not self._is_given("data-dir"):
            self["data-dir"] = DEFAULT_DATA_DIR
        self.settings.choose({setting: self[name] for name, setting in SETTINGS.items() if self[name] is not None})
        for name, setting in SETTINGS.items():
            self[name] = self.settings.value(setting)
        self["journal-size"] = RING_BYTES if self["journal-size"] is None else self["journal-size"]
        self["tls-auth-clients-user"] = self["tls-auth-clients-user"] or "off"

    def _check_words(self) -> None:
        for name, words in (
            ("fsync", [ALWAYS, EVERYSEC, NO]),
            ("enable-debug-command", WHO),
            ("enable-protected-configs", WHO),
            ("protected-mode", ["yes", "no"]),
            ("tls-auth-clients", ["yes", "optional", "no"]),
            ("tls-auth-clients-user", OFF_OR_CN),
        ):
            if self[name] is not None and self[name].lower() not in words:
                *first, last = words
                raise usage.UsageError(f"--{name} is {', '.join(first)} or {last}, not {self[name]!r}")
            if self[name] is not None:
                self[name] = self[name].lower()

    def _take_from_file(self, path: str) -> None:
        """Takes what the file says. Ends the process where it cannot be obeyed."""
        try:
            self.configuration = configuration = config_file.load(path, self.settings)
            self._take_own(configuration)
        except BadDirective as error:
            sys.exit(fatal_text(keyp.__version__, error))
        renames = [(each.words[0], each.words[1]) for each in configuration.others[RENAME]]
        self["rename-command"] = renames + self["rename-command"]
        if not self["endpoint"]:
            self["endpoint"] = [os.fsdecode(each.words[0]) for each in configuration.others[ENDPOINT]]

    def _take_own(self, configuration: Configuration) -> None:
        """Takes from the file what no setting of Redis's stands for. Raises `BadDirective`."""
        for name, read in ((JOURNAL_SIZE, _size), (NAMES_BY_CERTIFICATE, _off_or_cn)):
            directive = configuration.last(name)
            if directive is not None:
                try:
                    value: int | str = read(directive.words[0].decode("latin-1"))
                except ValueError as error:
                    raise bad(directive, str(error)) from None
                if self[name] is None:
                    self[name] = value
        for directive in configuration.settings:
            if directive.name == "databases" and self.settings.databases > DATABASES_MAX:
                raise bad(directive, f"argument must be between 1 and {DATABASES_MAX} inclusive")
