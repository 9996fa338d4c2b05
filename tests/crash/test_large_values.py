"""The server is killed while it writes a string in several transactions: the key has all of it or what it had."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import redis

from tests.crash.test_process_crash import Killer
from tests.integration.conftest import StartServer

MB = 1 << 20
BLOCKS = 12
BLOCK = bytes(range(1, 251)) * (4 * MB // 250)
LENGTH = BLOCKS * len(BLOCK)
LONGEST_LIFE_S = 0.25

WRITES: dict[str, tuple[str, ...]] = {
    "copy": ("COPY", "a", "t", "REPLACE"),
    "not": ("BITOP", "NOT", "t", "a"),
    "xor": ("BITOP", "XOR", "t", "a", "one"),
}


def test_a_long_string_is_whole_or_absent_after_a_kill(server: StartServer, seed: str, rounds: int) -> None:
    daemon = server("--fsync=no")
    with redis.Redis(port=daemon.port, socket_timeout=60) as r:
        for _ in range(BLOCKS):
            r.append("a", BLOCK)
        r.set("one", b"\x80" if BLOCK[0] < 128 else b"\1")
        bits = r.bitcount("a")
    counts = {"copy": bits, "not": 8 * LENGTH - bits, "xor": bits + 1, "": 0}
    holds = ""
    for number in range(max(4, rounds // 10)):
        random = Random(f"{seed}/{number}")
        asked = random.choice(list(WRITES))
        killer = Killer(daemon, random.uniform(0, LONGEST_LIFE_S))
        answered = False
        with redis.Redis(port=daemon.port, socket_timeout=60) as r, suppress(redis.ConnectionError):
            r.execute_command(*WRITES[asked])
            answered = True
        killer.join()
        daemon.check()
        daemon.start()
        with redis.Redis(port=daemon.port, socket_timeout=60) as r:
            found = r.bitcount("t")
            assert r.strlen("t") == (LENGTH if found else 0)
            assert r.bitcount("a") == bits
        assert found == counts[asked] or (not answered and found == counts[holds])
        holds = asked if found == counts[asked] else holds
