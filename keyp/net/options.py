"""The options of `twistd keyp` and `keyp`."""

from __future__ import annotations

import sys

from twisted.python import usage

import keyp
from keyp.server.config import INT64_MAX, Invalid, Memory
from keyp.storage.lmdb.environment import ALWAYS, EVERYSEC, NO
from keyp.storage.lmdb.journal import RING_BYTES

DEFAULT_HOST = "localhost"
DEFAULT_PORT = 6377
DIGITS_MAX = 4300  # Python does not read more
WHO = ["yes", "local", "no"]
TLS_SETTINGS = [
    "tls-port", "tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-ca-cert-dir", "tls-auth-clients",
    "tls-protocols", "tls-ciphers", "tls-ciphersuites",
]  # fmt: skip


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


class Options(usage.Options):
    """Command line to values: `host`, `port`, `data-dir`, `databases`, `fsync`, `enable-debug-command`,
    `requirepass`, `aclfile`, `protected-mode`, `tls-port` and others of TLS, `journal-size`, `max-size` and the lists
    `endpoint` and `rename-command`."""

    longdesc = "A Redis-compatible key-value server that keeps what it has acknowledged."
    optParameters = [  # noqa: RUF012 - the name and the form are Twisted's
        ["host", "h", None, f"Address or name to listen on. [default: {DEFAULT_HOST}]"],
        ["port", "p", None, f"TCP port. [default: {DEFAULT_PORT}]", _number("--port", 0, 65535)],
        ["data-dir", "d", "./data", "Directory of the store; made if it is not there."],
        ["databases", None, 16, "How many databases SELECT can choose from.", _number("--databases", 1, 1024)],
        ["fsync", None, ALWAYS, f"When a write is synced to the disk: {ALWAYS}, {EVERYSEC} or {NO}."],
        ["enable-debug-command", None, "no", "Who may call DEBUG: yes (all), local (from this machine) or no."],
        ["requirepass", None, "", "Password of the user default. Others on this machine see it; an ACL file is safer."],
        ["aclfile", None, "", "File of users, which ACL LOAD and ACL SAVE use."],
        ["protected-mode", None, "yes", "Serve this machine only while no password is needed: yes or no."],
        [
            "tls-port",
            None,
            0,
            "TCP port for TLS; no other then, unless --port says so.",
            _number("--tls-port", 0, 65535),
        ],
        ["tls-cert-file", None, "", "Certificate of the server, with the chain behind it."],
        ["tls-key-file", None, "", "Its key, if it is not in the same file."],
        ["tls-ca-cert-file", None, "", "Who signs the certificates of clients."],
        ["tls-ca-cert-dir", None, "", "A directory of such files."],
        ["tls-auth-clients", None, "yes", "Whether clients need a certificate: yes, optional or no."],
        ["tls-auth-clients-user", None, "off", "cn: a certificate's common name is the user it logs in."],
        ["tls-protocols", None, "", "Versions of TLS. [default: TLSv1.2 TLSv1.3]"],
        ["tls-ciphers", None, "", "Ciphers up to TLS 1.2."],
        ["tls-ciphersuites", None, "", "Ciphers of TLS 1.3."],
        [
            "journal-size",
            None,
            RING_BYTES,
            "Size of the journal, such as 8mb, which is the default.",
            _size,
        ],
        ["max-size", None, 0, "Limit of the data in use, such as 500mb or 20gb. [default: the disk]", _size],
    ]
    compData = usage.Completions(
        optActions={
            "fsync": usage.CompleteList([ALWAYS, EVERYSEC, NO]),
            "enable-debug-command": usage.CompleteList(WHO),
            "aclfile": usage.CompleteFiles(),
            "protected-mode": usage.CompleteList(["yes", "no"]),
        }
    )

    def __init__(self) -> None:
        usage.Options.__init__(self)
        self["endpoint"] = []
        self["rename-command"] = []
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

    def tls(self) -> dict[str, str | int]:
        """The settings of TLS that are given, by their names."""
        return {name: self[name] for name in TLS_SETTINGS}

    def parseArgs(self, *arguments: str) -> None:
        """Called by Twisted with what is no option. Raises `UsageError`: all arguments are options."""
        if arguments:
            raise usage.UsageError(f"{arguments[0]!r} is not an option")

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"Keyp {keyp.__version__}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Called by Twisted when all options are read. Raises `UsageError` for values that make no sense."""
        if self["fsync"] not in (ALWAYS, EVERYSEC, NO):
            raise usage.UsageError(f"--fsync is {ALWAYS}, {EVERYSEC} or {NO}, not {self['fsync']!r}")
        if self["enable-debug-command"] not in WHO:
            raise usage.UsageError(f"--enable-debug-command is {', '.join(WHO)}, not {self['enable-debug-command']!r}")
        if self["protected-mode"] not in ("yes", "no"):
            raise usage.UsageError(f"--protected-mode is yes or no, not {self['protected-mode']!r}")
        if self["tls-auth-clients"] not in ("yes", "optional", "no"):
            raise usage.UsageError(f"--tls-auth-clients is yes, optional or no, not {self['tls-auth-clients']!r}")
        if self["tls-auth-clients-user"].lower() not in ("off", "cn"):
            raise usage.UsageError(f"--tls-auth-clients-user is off or cn, not {self['tls-auth-clients-user']!r}")
        if self["requirepass"] and self["aclfile"]:
            raise usage.UsageError("--requirepass and --aclfile exclude each other: the file has the passwords")
        if not self["data-dir"]:
            raise usage.UsageError("--data-dir is empty")
        self["wants-tcp"] = (
            not (self["endpoint"] or self["tls-port"]) or self["host"] is not None or self["port"] is not None
        )
        if self["host"] is None:
            self["host"] = DEFAULT_HOST
        if self["port"] is None:
            self["port"] = DEFAULT_PORT
        if self.parent is not None:  # twistd's or twist's: --reactor stands before `keyp` and has been obeyed
            install_reactor()
