"""Every setting of a Redis beside ours: the same names, and the same replies to values of every kind, good and bad."""

from __future__ import annotations

import pytest

from keyp.server.config import TABLE
from keyp.server.config.table import FIXED, PINNED
from tests import wire
from tests.differential.servers import Keyp, Reference

# Facts of our own, or of the process that the Redis runs in.
OTHER_VALUES = {
    b"appendfsync", b"appendonly", b"bind", b"dbfilename", b"dir", b"port", b"protected-mode", b"set-proc-title",
    b"unixsocket", b"enable-debug-command", b"proto-max-bulk-len",
}  # fmt: skip
# One of them would lock us out, listen elsewhere, stop for minutes, write a log of changes or be watched by signals.
NOT_TRIED = {
    b"requirepass", b"protected-mode", b"bind", b"port", b"tls-port", b"maxclients", b"appendonly", b"watchdog-period",
}  # fmt: skip
# Redis 7.2 knows other words.
NEWER_WORDS = {b"loglevel"}

TRIED = (
    b"", b"0", b"1", b"-1", b"07", b"+1", b" 1", b"1 2", b"1 2 3", b"1kb", b"1%", b"-1%", b"101%", b"yes", b"NO",
    b"local", b"x", b"x y z w", b"1.5", b"2147483648", b"4294967296", b"9223372036854775807", b"9223372036854775808",
    b"18446744073709551615", b"-9223372036854775809", b"9" * 25, b"9" * 127 + b"b", b"9" * 5000, b"{title}", b"a b",
)  # fmt: skip


def ask(server: Reference | Keyp, *words: bytes) -> bytes:
    client = server.connect()
    reply = client.send(wire.request(*words), 1)[0]
    client.close()
    return reply


def values(server: Reference | Keyp, *patterns: bytes) -> dict[bytes, bytes]:
    words = wire.parse(ask(server, b"CONFIG", b"GET", *patterns))
    return dict(zip(words[::2], words[1::2], strict=True))


def names_of(server: Reference) -> list[bytes]:
    """The settings that the Redis shows, and those that it shows only to who knows their names."""
    hidden = [setting.name.encode() for setting in TABLE if setting.hidden]
    return sorted({**values(server, b"*"), **values(server, *hidden)})


def test_all_names_are_known(redis_server: Reference, keyp: Keyp) -> None:
    names = names_of(redis_server)
    assert sorted(values(keyp, *names)) == names
    assert len(names) > 190


def test_defaults(redis_server: Reference, keyp: Keyp) -> None:
    theirs, ours = values(redis_server, *names_of(redis_server)), values(keyp, *names_of(redis_server))
    assert {name: (theirs[name], ours[name]) for name in theirs if theirs[name] != ours[name]}.keys() <= OTHER_VALUES


def test_which_cannot_be_set(redis_server: Reference, keyp: Keyp) -> None:
    """Every setting takes the value it has, or none."""
    for name in names_of(redis_server):
        if name not in NOT_TRIED:
            theirs, ours = [
                ask(server, b"CONFIG", b"SET", name, values(server, name)[name]) for server in (redis_server, keyp)
            ]
            assert theirs == ours, name


@pytest.mark.parametrize("value", TRIED, ids=lambda value: value[:20].decode())
def test_values(redis_server: Reference, keyp: Keyp, value: bytes) -> None:
    refused = {name.encode() for setting in TABLE if setting.state in (PINNED, FIXED) for name in setting.names}
    servers: list[Reference | Keyp] = [redis_server, keyp]
    differing: list[tuple[bytes, ...]] = []
    for name in names_of(redis_server):
        if name in NOT_TRIED | NEWER_WORDS:
            continue
        usual = [values(server, name)[name] for server in servers]
        theirs, ours = [ask(server, b"CONFIG", b"SET", name, value) for server in servers]
        if theirs != ours:
            if name not in refused or not ours.startswith(b"-ERR CONFIG SET failed"):
                differing.append((name, theirs, ours))
        elif theirs == b"+OK\r\n":
            shown = [values(server, name)[name] for server in servers]
            if shown[0] != shown[1] and usual[0] == usual[1]:
                differing.append((name, *shown))
        for server, text in zip(servers, usual, strict=True):
            if theirs == b"+OK\r\n" and values(server, name)[name] != text:
                assert ask(server, b"CONFIG", b"SET", name, text) == b"+OK\r\n"
    assert differing == []
