"""Fifty batches in a group, some of them guilty: each other one is applied exactly once, and none of the guilty ones.

A guilty batch raises before it writes, after it has written, or between two of its commands; some commits fail too.
What it raises is what a damaged page makes of a cursor, which the log reports in one line.
"""

from __future__ import annotations

import errno
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from keyp import errors
from keyp.command.registry import Registry
from keyp.command.table import CommandTable
from keyp.commands.all import TABLES
from keyp.storage.types import strings as values
from tests.failing_disk import error_with, failing
from tests.fakes import Lab
from tests.integration.daemon import LONG

ROUNDS = 400 if LONG else 6
BATCHES = 50
GUILTY = CommandTable(group="string")
REFUSED = f"-{errors.DAMAGED_STORE}\r\n".encode()
FULL = f"-{errors.DISK_FULL}\r\n".encode()


@GUILTY.write("FAIL-FIRST", arity=2, since="0", summary="Meets a defect before it writes.")
def fail_first(context: Any, args: list[bytes]) -> str:
    raise SystemError("a defect")


@GUILTY.write("FAIL-LAST", arity=2, since="0", summary="Writes, then meets a defect.")
def fail_last(context: Any, args: list[bytes]) -> str:
    values.put(context.keys, args[1], b"wrong")
    values.put(context.keys, b"all", b"1000000")
    raise SystemError("a defect")


def batch(random: Random, number: int, guilty: bool) -> tuple[bytes, int]:
    """The requests of one client: counts its own key and everybody's up; how many requests that are."""
    commands = [b"INCR own:%d" % number, b"INCR all"] * random.randrange(1, 4)
    if guilty:
        fault = random.choice((b"FAIL-FIRST own:%d", b"FAIL-LAST own:%d")) % number
        commands.insert(random.randrange(len(commands) + 1), fault)
    return b"".join(command + b"\r\n" for command in commands), len(commands)


def test_only_the_guilty_are_refused(tmp_path: Path, seed: str) -> None:
    random = Random(f"{seed}/guilty")
    lab = Lab(tmp_path)
    lab.server.state.registry = Registry([*TABLES, GUILTY])
    clients = [lab.connect() for _ in range(BATCHES)]
    own: Counter[int] = Counter()
    counts: Counter[str] = Counter()
    for _ in range(ROUNDS):
        guilty = set(random.sample(range(BATCHES), random.choice((0, 1, 1, 2, 7, BATCHES))))
        sent = []
        for number, client in enumerate(clients):
            requests, count = batch(random, number, number in guilty)
            client.transport.sent = b""
            client.protocol.dataReceived(requests)
            sent.append(count)
        with failing(lab, error_with(errno.ENOSPC), random.choice((0, 0, 0, 1))):
            lab.settle()
        lab.server.each_second()  # fills the reserve, where a full disk has emptied it
        for number, (client, count) in enumerate(zip(clients, sent, strict=True)):
            reply = client.transport.sent
            if number in guilty or reply == FULL * count:
                assert reply in (REFUSED * count, FULL * count)
                counts["refused"] += 1
            else:
                own[number] += count // 2
                assert reply.startswith(b":%d\r\n" % (own[number] - count // 2 + 1)), reply
                assert reply.count(b":") == count
                counts["applied"] += 1
        reader = lab.connect()
        for number in range(BATCHES):
            held = reader.call(f"GET own:{number}")
            assert held == (b"$%d\r\n%d\r\n" % (len(str(own[number])), own[number]) if own[number] else b"$-1\r\n")
        total = own.total()
        assert reader.call("GET all") == (b"$%d\r\n%d\r\n" % (len(str(total)), total) if total else b"$-1\r\n")
        reader.lose()
    lab.close()
    print(f"\n{ROUNDS} groups of {BATCHES} batches: {dict(counts)}")
    assert counts["refused"]
    assert counts["applied"]
