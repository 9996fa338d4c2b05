"""The sweeper beside the clients: steps of a bounded size, a rest between them, its turn under any load."""

from __future__ import annotations

from typing import Any

import pytest

from keyp.execution.group_commit import SWEEP_BUDGET, SWEEP_FACTOR, SWEEP_REST_S
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb.pieces import PIECE_BYTES
from keyp.storage.lmdb.transaction import WriteTransaction
from keyp.storage.types import strings
from tests.counting import CountingLmdb
from tests.fakes import Lab

REST_MS = int(SWEEP_REST_S * 1000)


def put(lab: Lab, count: int, size: int = 1, in_ms: int = 0) -> None:
    """Stores keys `k0`, `k1` … that die in `in_ms` milliseconds, 0 for never."""
    now_ms = lab.clock.now_us() // 1000
    transaction = WriteTransaction(lab.environment, now_ms)
    transaction.version += 1
    keys = WritableKeyspace(transaction, 0)
    for number in range(count):
        strings.put(keys, b"k%d" % number, b"v" * size, now_ms + in_ms if in_ms else 0)
    transaction.commit()


def stored(lab: Lab) -> int:
    return int(lab.connect().call("DBSIZE")[1:])


def steps(lab: Lab) -> list[int]:
    """Lets the sweeper do all that is due: the entries that each of its steps has deleted."""
    real = lab.environment.lmdb
    deleted: list[int] = []
    try:
        lab.server.dispatcher.sweep_if_due()
        while True:
            counting: Any = CountingLmdb(real)
            lab.environment.lmdb = counting
            lab.advance_ms(REST_MS)
            if not counting.counts["commit"]:
                return deleted
            deleted.append(counting.counts["delete"])
    finally:
        lab.environment.lmdb = real


def test_what_is_due_goes_in_steps(lab: Lab) -> None:
    put(lab, 5 * SWEEP_BUDGET + 7, in_ms=10)
    client = lab.connect()
    client.call("SET stays v", "SET later v PX 10000")
    lab.advance_ms(11)
    sizes = []
    before = lab.writer_thread.done
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    while lab.writer_thread.done > before:
        sizes.append(stored(lab))
        before = lab.writer_thread.done
        lab.advance_ms(REST_MS)
    assert sizes == [4 * SWEEP_BUDGET + 9, 3 * SWEEP_BUDGET + 9, 2 * SWEEP_BUDGET + 9, SWEEP_BUDGET + 9, 9, 2]
    assert lab.server.state.metrics.expired_keys == 5 * SWEEP_BUDGET + 7
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    assert lab.writer_thread.done == before


def test_it_rests_between_two_steps(lab: Lab) -> None:
    put(lab, 3 * SWEEP_BUDGET, in_ms=10)
    lab.advance_ms(11)
    for _ in range(3):
        lab.server.dispatcher.sweep_if_due()
        lab.settle()
    assert stored(lab) == 2 * SWEEP_BUDGET


@pytest.mark.parametrize("command", ["DEL k0", "SET k0 v", "SET k0 v PX 1", "FLUSHDB"])
def test_leftovers_of_a_long_string_go_in_steps(lab: Lab, command: str) -> None:
    """As many steps as its pieces need; none does more than its budget, and what it notes of its own work."""
    pieces = 1000
    put(lab, 1, size=pieces * PIECE_BYTES)
    lab.connect().call(command)
    lab.advance_ms(2)
    deleted = steps(lab)
    assert max(deleted) <= SWEEP_BUDGET + 4
    assert pieces <= sum(deleted) <= pieces + 10
    assert len(deleted) <= pieces // SWEEP_BUDGET + 2


def test_keys_of_a_flushed_database_go_in_steps(lab: Lab) -> None:
    put(lab, 4000, size=1000)
    assert lab.connect().call("FLUSHDB") == b"+OK\r\n"
    deleted = steps(lab)
    assert max(deleted) <= SWEEP_BUDGET + 4
    assert len(deleted) > 5


def test_batches_go_between_two_steps(lab: Lab) -> None:
    put(lab, 3 * SWEEP_BUDGET, in_ms=10)
    client = lab.connect()
    lab.advance_ms(11)
    lab.writer_thread.held = True
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    client.send(b"SET a 1\r\n")
    lab.writer_thread.work()  # the first step
    lab.settle()
    assert client.transport.sent == b""
    lab.writer_thread.work()  # the batch
    assert client.transport.sent == b"+OK\r\n"


def test_a_step_takes_its_turn_where_batches_always_wait(lab: Lab) -> None:
    put(lab, 3 * SWEEP_BUDGET, in_ms=10)
    clients = [lab.connect(), lab.connect()]
    lab.advance_ms(11)
    lab.writer_thread.held = True
    clients[0].send(b"SET a 1\r\n")
    lab.server.dispatcher.sweep_if_due()
    for turn in range(20):  # one batch is being written, the next waits: the line is never empty
        clients[(turn + 1) % 2].send(b"SET a 1\r\n")
        lab.writer_thread.work()
        lab.advance_ms(REST_MS)
    assert lab.server.state.metrics.expired_keys > SWEEP_BUDGET


def test_a_step_keeps_pace_with_what_clients_write(lab: Lab) -> None:
    put(lab, 10 * SWEEP_BUDGET, in_ms=10)
    client = lab.connect()
    lab.advance_ms(11)
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    before = lab.server.state.metrics.expired_keys
    client.call(*["SET a 1"] * SWEEP_BUDGET)
    lab.advance_ms(REST_MS)
    assert lab.server.state.metrics.expired_keys == before + SWEEP_FACTOR * SWEEP_BUDGET
    lab.advance_ms(REST_MS)
    assert lab.server.state.metrics.expired_keys == before + (SWEEP_FACTOR + 1) * SWEEP_BUDGET


def test_what_was_written_while_nothing_was_due_makes_no_long_step(lab: Lab) -> None:
    client = lab.connect()
    client.call(*["SET a 1"] * 10 * SWEEP_BUDGET)
    put(lab, 3 * SWEEP_BUDGET, in_ms=10)
    lab.advance_ms(11)
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    assert lab.server.state.metrics.expired_keys == SWEEP_BUDGET


def test_garbage_goes_although_keys_never_cease_to_expire(lab: Lab) -> None:
    put(lab, 1, size=50 * PIECE_BYTES)
    lab.connect().call("DEL k0")
    put(lab, 3 * SWEEP_BUDGET, in_ms=10)
    lab.advance_ms(11)
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    metrics = lab.server.state.metrics
    assert (metrics.swept_keys, metrics.swept_elements) == (SWEEP_BUDGET - 50, 50)
