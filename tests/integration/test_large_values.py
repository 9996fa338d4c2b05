"""Values of a hundred megabytes and more in a process that may have little memory, and what of it stays.

The limit is one of the kernel's (RLIMIT_DATA): what the process has to itself, the store's mapped pages aside.
"""

from __future__ import annotations

from typing import Any

import pytest
import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import LONG, wait_until

MB = 1 << 20
LIMIT_MB = 200
SIZES_MB = [256, 512] if LONG else [256]
BLOCK = bytes(range(1, 251)) * (4 * MB // 250)


def fill(r: Any, key: str, size_mb: int) -> int:
    """Appends until the string has at least so many megabytes; its length."""
    length = 0
    while length < size_mb * MB:
        length = r.append(key, BLOCK)
    return length


@pytest.mark.parametrize("fsync", ["always", "no"] if LONG else ["no"])
@pytest.mark.parametrize("size_mb", SIZES_MB)
def test_what_is_longer_than_the_memory_is_copied_and_combined(server: StartServer, fsync: str, size_mb: int) -> None:
    daemon = server(f"--fsync={fsync}", launcher=("prlimit", f"--data={LIMIT_MB * MB}"))
    with redis.Redis(port=daemon.port, socket_timeout=120) as r:
        length = fill(r, "a", size_mb - 4)
        r.copy("a", "b")
        assert r.strlen("b") == length
        r.append("b", "tail")
        assert r.bitop("xor", "x", "a", "b") == length + 4
        assert r.getrange("x", length - 4, -1) == b"\0\0\0\0tail"
        assert r.bitop("not", "n", "a") == length
        assert r.getrange("n", 0, 3) == bytes((254, 253, 252, 251))
        r.move("n", 5)
        assert r.getrange("a", length - len(BLOCK), -1) == BLOCK
        r.flushall()


def test_half_a_gigabyte_of_zeros_needs_no_memory(server: StartServer) -> None:
    daemon = server("--fsync=no", launcher=("prlimit", f"--data={LIMIT_MB * MB}"))
    with redis.Redis(port=daemon.port, socket_timeout=60) as r:
        before = daemon.memory()
        assert r.setrange("range", 512 * MB - 1, "x") == 512 * MB
        assert r.setbit("bit", (1 << 32) - 1, 1) == 0
        assert r.bitfield("field").set("u8", (1 << 32) - 8, 255).execute() == [0]
        assert r.bitop("or", "or", "range", "bit", "field") == 512 * MB
        assert r.bitop("and", "and", "range", "bit") == 512 * MB
        assert r.bitcount("or") == 8
        assert r.copy("or", "copy")
        assert r.getrange("copy", -2, -1) == b"\0\xff"
        with pytest.raises(redis.ResponseError, match="Insufficient memory"):
            r.execute_command("LCS", "range", "or")
        assert daemon.memory() - before < 32 * MB
        assert (daemon.data_dir / "data.mdb").stat().st_size < 16 * MB


def test_what_large_writes_took_is_given_back(server: StartServer) -> None:
    """Written in one transaction each: LMDB has all of it in the heap until then."""
    daemon = server("--fsync=no")
    with redis.Redis(port=daemon.port, socket_timeout=60) as r:
        r.set("warm", BLOCK)
        before = daemon.memory()
        for _ in range(3):
            r.mset({f"k{number}": BLOCK * 4 for number in range(6)})
        grown = daemon.memory()
        r.flushall()
        wait_until(lambda: daemon.memory() < before + 40 * MB, f"memory given back: {before}, then {grown}")
