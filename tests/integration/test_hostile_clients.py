"""One client takes neither the memory nor the reactor: a little of each attack, on the running daemon.

`make test-hostile-clients` has the long forms, with figures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon, wait_until
from tests.integration.hostile import ATTACKS, MB, Attack, Attacker

# What a server keeps after anything: blocks of the C library's heaps, buffers, LMDB's pages that were written.
ALLOWANCE = 12 * MB

HOLDING = [
    attack
    for attack in ATTACKS
    if attack.name in ("calls queued", "channels subscribed to", "patterns subscribed to", "keys watched")
]


def names(attack: Attack) -> str:
    return attack.name


@pytest.fixture(scope="module")
def hardened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all attacks, whose memory is what it uses: see `test_backpressure.py`."""
    daemon = Daemon(tmp_path_factory.mktemp("hostile"), "--fsync=no")
    daemon.environment = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "131072"}
    daemon.start()
    yield daemon
    daemon.stop()
    daemon.check()


@pytest.fixture
def other(hardened: Daemon) -> Iterator[Any]:
    """A client that means no harm; it is alone again when the test is over."""
    with redis.Redis(port=hardened.port, decode_responses=True) as other:
        other.flushall()
        yield other
        wait_until(lambda: len(other.client_list()) == 1, "the attacker's connections are gone")
        other.config_set("maxmemory-clients", 0)
        assert other.ping()


@pytest.mark.parametrize("attack", ATTACKS, ids=names)
def test_an_attack_takes_what_it_may_and_no_more(hardened: Daemon, other: Any, attack: Attack) -> None:
    before = hardened.memory()
    with Attacker(hardened.port) as attacker:
        attacker.run(attack, attack.small)
        assert other.set("k", "v")
        assert other.get("k") == "v"
        assert hardened.memory() - before < attack.room(attack.small) + ALLOWANCE


@pytest.mark.parametrize("attack", HOLDING, ids=names)
def test_the_list_says_how_much_a_client_takes(server: StartServer, attack: Attack) -> None:
    daemon = server("--fsync=no")
    with redis.Redis(port=daemon.port, decode_responses=True) as other, Attacker(daemon.port) as attacker:
        assert other.ping()
        before = daemon.memory()
        attacker.run(attack, 4 * attack.small)
        grown = daemon.memory() - before
        told = max([int(client["tot-mem"]) for client in other.client_list()])
        assert told < 2 * (grown + 2 * MB)
        assert grown < 2 * told + ALLOWANCE


@pytest.mark.parametrize("attack", HOLDING, ids=names)
def test_one_that_takes_too_much_is_evicted(hardened: Daemon, other: Any, attack: Attack) -> None:
    other.config_resetstat()
    other.config_set("maxmemory-clients", "2mb")
    before = hardened.memory()
    with Attacker(hardened.port) as attacker:
        attacker.run(attack, 20 * attack.small)
        assert attacker.was_cut_off
        assert hardened.memory() - before < 4 * MB + ALLOWANCE
    assert other.info("stats")["evicted_clients"] == 1
    assert "Evicting client: id=" in hardened.log()
