"""Reads of many fields or members run on a reader's thread, where they hold up nobody; short ones run at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyp.command.context import AT_ONCE_MAX
from tests.fakes import Connection, Lab
from tests.scratch import scratch_directory

MANY = 2 * AT_ONCE_MAX

LONG = [
    "HGETALL h", "HKEYS h", "HVALS h", "HRANDFIELD h 100", "HRANDFIELD h -100 WITHVALUES", f"HRANDFIELD h {MANY}",
    f"HSCAN h 0 COUNT {MANY}", "SMEMBERS s", "SRANDMEMBER s 100", "SRANDMEMBER s -100", f"SRANDMEMBER s {MANY}",
    f"SSCAN s 0 COUNT {MANY}", "SINTER s t", "SINTERCARD 2 s t", "SUNION s few", "SDIFF s few", "XRANGE x - +",
    "XREVRANGE x + -", "XREAD STREAMS x 0", "XINFO STREAM x FULL COUNT 0", "XPENDING x g - + 100000",
]  # fmt: skip
SHORT = [
    "HGET h 1", "HMGET h 1 2 3", "HLEN h", "HRANDFIELD h", "HRANDFIELD h 5", "HSCAN h 0", "HGETALL few:h",
    "SISMEMBER s 1", "SCARD s", "SRANDMEMBER s", "SRANDMEMBER s -5", "SSCAN s 0", "SMEMBERS few", "SINTER s few",
    "SINTERCARD 2 few s", "SUNION few few", "SDIFF few s", "SINTER s nosuch", "SDIFF s s", "HGETALL nosuch",
    "XRANGE x - 9", "XRANGE x - + COUNT 9", "XREVRANGE x + - COUNT 9", f"XREAD STREAMS x {MANY - 5}", "XLEN x",
    "XINFO STREAM x", "XINFO STREAM x FULL", "XPENDING x g", "XPENDING x g 5 + 9", "XINFO CONSUMERS x g",
]  # fmt: skip


@pytest.fixture(scope="module")
def filled() -> Iterator[tuple[Lab, Connection]]:
    with scratch_directory() as directory:
        lab = Lab(Path(directory))
        client = lab.connect()
        fill(client)
        yield lab, client
        lab.close()


def fill(client: Connection) -> None:
    numbers = [str(number) for number in range(MANY)]
    for start in range(0, MANY, 1000):
        part = numbers[start : start + 1000]
        client.call(f"HSET h {' '.join([f'{number} x' for number in part])}")
        client.call(f"SADD s {' '.join(part)}", f"SADD t {' '.join(part)}")
        client.call(*[f"XADD x {int(number) + 1} f v" for number in part])
    client.call("XGROUP CREATE x g 0", "XREADGROUP GROUP g c STREAMS x >")
    client.call("HSET few:h 1 x 2 x", "SADD few 1 2 3")


@pytest.mark.parametrize("command", LONG)
def test_long(filled: tuple[Lab, Connection], command: str) -> None:
    lab, client = filled
    before = lab.reader_threads.done
    assert client.call(command)[:1] != b"-"
    assert lab.reader_threads.done == before + 1


@pytest.mark.parametrize("command", SHORT)
def test_short(filled: tuple[Lab, Connection], command: str) -> None:
    lab, client = filled
    before = lab.reader_threads.done
    assert client.call(command)[:1] != b"-"
    assert lab.reader_threads.done == before
