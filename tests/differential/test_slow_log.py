"""The slow log: the same calls, written the same way, on a real server and on Keyp; each call counts as slow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import wire
from tests.differential.servers import Keyp, KeypConnection, Reference, ReferenceConnection

Client = ReferenceConnection | KeypConnection

# The reference rewrites most of these for its replicas; the log shows them as they were sent.
REWRITTEN = """
SET k v EX 100 | SET k v PX 100000 NX | SETEX k 100 v | PSETEX k 100000 v | GETEX k EX 100 | GETEX k PERSIST
EXPIRE k 100 | PEXPIRE k 100000 | EXPIREAT k 4000000000 | EXPIRE k 0 | SADD s a b c d e | SPOP s | SPOP s 2 | SPOP s 9
INCRBYFLOAT f 1.5 | HINCRBYFLOAT h f 1.5 | SET k v | GETDEL k | GETSET k v | RPUSH l a b c | LMOVE l m LEFT RIGHT
BLPOP l 1 | BLMOVE l m LEFT RIGHT 1 | BRPOPLPUSH m l 1 | RPOPLPUSH l m | LMPOP 1 m LEFT | BLMPOP 1 1 m LEFT
ZADD z 1 a 2 b 3 c | ZPOPMIN z | BZPOPMIN z 1 | ZMPOP 1 z MIN | SUNIONSTORE d s x | SORT l STORE m | GEOADD g 1 1 a
GEORADIUS g 1 1 10 km STORE g2 | COPY k k2 | UNLINK k2 | FLUSHDB ASYNC | SDIFFSTORE e nosuch | PFADD p a | PFCOUNT p
"""
OTHERS = """
ping hello | GET | NOSUCH x | CLIENT NOSUCH | CLIENT SETNAME x | CONFIG GET save | MULTI | SET k 1 EX 5 | GET | EXEC
MULTI | SET k 1 EX 5 | SPOP s | EXEC | MULTI | DISCARD | WATCH k | UNWATCH | SELECT 0 | COMMAND COUNT | SLOWLOG LEN
"""
SECRETS = """
AUTH default secret | AUTH secret | AUTH nobody secret | HELLO 2 AUTH default secret SETNAME me
HELLO 2 SETNAME me AUTH default secret | HELLO 2 auth nobody secret | HELLO
CONFIG SET timeout 0 requirepass "" | CONFIG SET masterauth secret nosuch 1 tls-key-file-pass secret
MULTI | AUTH default secret | CONFIG SET masterauth "" | EXEC | ACL SETUSER secret on >secret
ACL SETUSER secret secret | ACL GETUSER secret | ACL DELUSER secret
ACL DELUSER nosuch secret | ACL SETUSER secret (~x >secret)
"""
# Redis shows these: it hides passwords only where a call makes sense.
HIDDEN = """
AUTH default secret x | AUTH secret default secret | HELLO 2 FOO AUTH default secret | HELLO 2 AUTH secret
HELLO AUTH default secret | HELLO 2 SETNAME me AUTH default secret secret | CONFIG SET x requirepass secret y
ACL DRYRUN default AUTH default secret | ACL DRYRUN default ACL SETUSER x >secret
"""


def calls(text: str) -> list[list[bytes]]:
    return [
        call.replace('""', "").encode().split(b" ") for line in text.split("\n") if line for call in line.split(" | ")
    ]


LONG = [
    [b"SET", b"k", b"x" * length] for length in (127, 128, 129, 200)
] + [
    [b"DEL", *[b"k%d" % number for number in range(count)]] for count in (30, 31, 32, 100)
] + [[b"DEL", *[b"y" * 130] * 40]]  # fmt: skip


def logged(server: Reference | Keyp, talk: Callable[[Client, Client], None]) -> list[list[bytes]]:
    """The arguments of all calls that the log shows after a talk of two clients."""
    server.clear()
    admin, one, other = server.connect(), server.connect(), server.connect()
    admin.send(wire.request(*b"CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 1000".split()), 1)
    admin.send(wire.request(b"SLOWLOG", b"RESET"), 1)
    talk(one, other)
    entries = wire.parse(admin.send(wire.request(b"SLOWLOG", b"GET", b"1000"), 1)[0])
    admin.send(wire.request(*b"CONFIG SET slowlog-log-slower-than 10000 slowlog-max-len 128".split()), 1)
    for client in (admin, one, other):
        client.close()
    return [entry[3] for entry in reversed(entries) if entry[3] != [b"PING"]]  # which the reference is asked besides


@pytest.mark.parametrize(
    "said",
    [calls(REWRITTEN), calls(OTHERS), calls(SECRETS), LONG],
    ids=["rewritten", "others", "secrets", "long"],
)
def test_calls_are_logged_as_they_were_sent(reference: Reference, keyp: Keyp, said: list[list[bytes]]) -> None:
    def talk(one: Client, other: Client) -> None:
        for call in said:
            one.send(wire.request(*call), 1)

    assert logged(reference, talk) == logged(keyp, talk)


def test_no_password_is_logged(keyp: Keyp) -> None:
    def talk(one: Client, other: Client) -> None:
        for call in calls(HIDDEN):
            one.send(wire.request(*call), 1)

    shown = logged(keyp, talk)
    assert len(shown) == 1 + len(calls(HIDDEN)), "SLOWLOG RESET is the first"
    assert not any(b"secret" in word for call in shown for word in call)


def test_a_call_that_waited_is_logged_when_its_waiting_is_over(reference: Reference, keyp: Keyp) -> None:
    def talk(one: Client, other: Client) -> None:
        one.send(wire.request(b"BLPOP", b"q", b"0.05"), 1)
        one.send(wire.request(b"BLPOP", b"q", b"10"), 0)
        other.send(wire.request(b"PING"), 1)
        other.send(wire.request(b"RPUSH", b"q", b"a"), 1)
        one.hear()

    assert logged(reference, talk) == logged(keyp, talk)
