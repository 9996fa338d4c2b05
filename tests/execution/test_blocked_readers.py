"""Clients that wait for entries of streams: in their order, what each of them gets, and what it costs to serve them."""

from __future__ import annotations

import errno

import pytest

from tests.execution.test_blocked_clients import UNBLOCKED, waiting
from tests.execution.test_work_per_request import calls
from tests.failing_disk import RING_FILE, error_with, failing, failing_syncs
from tests.fakes import Connection, Lab
from tests.wire import parse

NO_GROUP = b"-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"
WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"


@pytest.fixture
def client(lab: Lab) -> Connection:
    """A client of a lab that has a stream `s` without entries, with a group `g`."""
    client = lab.connect()
    client.call("XGROUP CREATE s g 0 MKSTREAM")
    return client


def reading(lab: Lab, name: str) -> Connection:
    return waiting(lab, f"XREADGROUP GROUP g {name} COUNT 1 BLOCK 0 STREAMS s >")


def ids(client: Connection) -> list[bytes]:
    """Of the entries that a client has got in its last reply."""
    ((_, entries),) = parse(client.transport.sent)
    return [entry_id for entry_id, _ in entries]


def test_the_consumer_that_waits_longest_comes_first(lab: Lab, client: Connection) -> None:
    consumers = [reading(lab, f"c{number}") for number in range(4)]
    client.call("MULTI", "XADD s 1 f v", "XADD s 2 f v", "XADD s 3 f v", "EXEC")
    assert [ids(consumer) for consumer in consumers[:3]] == [[b"1-0"], [b"2-0"], [b"3-0"]]
    assert consumers[3].transport.sent == b""
    assert client.call("XPENDING s g").count(b"-0\r\n") == 2
    client.call("XADD s 4 f v")
    assert ids(consumers[3]) == [b"4-0"]


def test_readers_without_a_group_all_get_it(lab: Lab, client: Connection) -> None:
    readers = [waiting(lab, "XREAD BLOCK 0 STREAMS s $") for _ in range(3)]
    late = waiting(lab, "XREAD BLOCK 0 STREAMS s 5")
    consumer = reading(lab, "c")
    client.call("XADD s 1 f v")
    assert [ids(reader) for reader in (*readers, consumer)] == [[b"1-0"]] * 4
    client.call("XADD s 6 f v")
    assert ids(late) == [b"6-0"]


def test_a_consumer_that_leaves_takes_nothing(lab: Lab, client: Connection) -> None:
    first, second = reading(lab, "first"), reading(lab, "second")
    first.lose()
    client.call("XADD s 1 f v")
    assert ids(second) == [b"1-0"]
    assert client.call("XPENDING s g - + 9 first") == b"*0\r\n"


def test_time_is_over(lab: Lab, client: Connection) -> None:
    consumer = waiting(lab, "XREADGROUP GROUP g c BLOCK 50 STREAMS s >")
    reader = waiting(lab, "XREAD BLOCK 50 STREAMS s $")
    lab.advance_ms(49)
    assert consumer.transport.sent == reader.transport.sent == b""
    lab.advance_ms(2)
    assert consumer.transport.sent == reader.transport.sent == b"*-1\r\n"
    unblocked = waiting(lab, "XREAD BLOCK 0 STREAMS s $")
    client.call(f"CLIENT UNBLOCK {unblocked.connection.client.id} ERROR")
    assert unblocked.transport.sent == UNBLOCKED


@pytest.mark.parametrize(
    "line", ["XGROUP DESTROY s g", "DEL s", "RENAME s t", "FLUSHALL", "SWAPDB 0 1", "MOVE s 1", "PEXPIREAT s 1"]
)
def test_the_group_goes(lab: Lab, client: Connection, line: str) -> None:
    consumer, other = reading(lab, "c"), waiting(lab, "XREAD BLOCK 0 STREAMS s $")
    client.call(line)
    assert consumer.transport.sent == NO_GROUP
    assert other.transport.sent == b""
    client.call("XADD s 9 f v")
    assert ids(other) == [b"9-0"]


@pytest.mark.parametrize(
    "line",
    [
        "SET s v",
        "MSET s v",
        "COPY text s REPLACE",
        "RENAME text s",
        "SORT list STORE s",
        "SUNIONSTORE s set",
        "BITOP NOT s text",
        "EVAL \"redis.call('SET', KEYS[1], 'v')\" 1 s",
    ],
)
def test_another_type_comes(lab: Lab, client: Connection, line: str) -> None:
    client.call("SET text v", "RPUSH list 1", "SADD set 1")
    consumer, other = reading(lab, "c"), waiting(lab, "XREAD BLOCK 0 STREAMS s $")
    client.call(line)
    assert consumer.transport.sent == WRONG_TYPE
    assert other.transport.sent == b""


def test_a_stream_without_the_group_comes(lab: Lab, client: Connection) -> None:
    client.call("XADD other 1 f v")
    for line in ("COPY other s REPLACE", "RENAME other s", "EVAL \"redis.call('DEL', KEYS[1])\" 1 s"):
        client.call("DEL s", "XGROUP CREATE s g 0 MKSTREAM")
        consumer = reading(lab, "c")
        client.call(line)
        assert consumer.transport.sent == NO_GROUP


def test_what_is_back_at_once_has_not_gone(lab: Lab, client: Connection) -> None:
    consumer = reading(lab, "c")
    script = "redis.call('DEL', KEYS[1]) redis.call('XGROUP', 'CREATE', KEYS[1], 'g', '0', 'MKSTREAM')"
    client.call(f'EVAL "{script}" 1 s')
    client.call("MULTI", "RENAME s t", "RENAME t s", "SWAPDB 0 1", "SWAPDB 0 1", "EXEC")
    assert consumer.transport.sent == b""
    client.call("XADD s 1 f v")
    assert ids(consumer) == [b"1-0"]


def expire_unseen(lab: Lab, client: Connection) -> None:
    """The stream's time is over, and nobody but the sweeper looks."""
    client.call("PEXPIRE s 10")
    lab.advance_ms(11)


def test_the_sweeper_removes_the_stream(lab: Lab, client: Connection) -> None:
    client.call("CONFIG SET notify-keyspace-events KEA")
    listener = lab.connect()
    listener.call("PSUBSCRIBE __keyevent*")
    consumer, other = reading(lab, "c"), waiting(lab, "XREAD BLOCK 0 STREAMS s $")
    expire_unseen(lab, client)
    assert consumer.transport.sent == b""
    lab.sweep()
    assert consumer.transport.sent == NO_GROUP
    assert other.transport.sent == b""
    assert listener.transport.sent.endswith(b"expired\r\n$1\r\ns\r\n")
    assert consumer.call("PING") == b"+PONG\r\n"
    assert b"\r\nblocked_clients:1\r\n" in client.call("INFO clients")
    client.call("XADD s 9 f v")
    assert ids(other) == [b"9-0"]


def test_a_step_of_the_sweeper_that_fails_tells_nobody(lab: Lab, client: Connection) -> None:
    consumer = reading(lab, "c")
    expire_unseen(lab, client)
    with failing(lab, error_with(errno.ENOSPC), 1):
        lab.sweep()
        assert consumer.transport.sent == b""
    lab.advance_ms(100)
    lab.sweep()
    assert consumer.transport.sent == NO_GROUP


def test_a_command_that_cannot_be_run_again_keeps_no_key_from_expiring(lab: Lab, client: Connection) -> None:
    client.call("XGROUP CREATE t g 0 MKSTREAM")
    consumer = waiting(lab, "XREADGROUP GROUP g c BLOCK 0 STREAMS t s > >")
    elements = lab.environment.spaces[lab.environment.database_spaces[0]].elements
    with lab.environment.lmdb.begin(write=True) as txn, txn.cursor(elements) as cursor:
        assert cursor.last()
        cursor.put(cursor.key(), b"damaged")
    expire_unseen(lab, client)
    lab.sweep()
    assert consumer.transport.sent == b""
    assert client.call("DBSIZE") == b":1\r\n"
    consumer.lose()
    client.call("DEL t")
    lab.sweep()


def test_an_error_that_the_sweeper_brings_waits_for_the_disk(lab: Lab, client: Connection) -> None:
    """Of what a step has removed alone nobody has heard; so it needs no sync."""
    lab.environment.fsync = "always"
    client.call("SET text v")
    counts = []
    for blocked in (0, 1):
        client.call("XGROUP CREATE s g 0 MKSTREAM")
        consumer = reading(lab, "c") if blocked else None
        expire_unseen(lab, client)
        with failing_syncs(RING_FILE, 0) as syncs:
            lab.sweep()
        counts.append(syncs.counts.get(RING_FILE, 0))
        assert consumer is None or consumer.transport.sent == NO_GROUP
    assert counts == [0, 1]


def test_a_transaction_does_not_wait(lab: Lab, client: Connection) -> None:
    replies = client.call("MULTI", "XREAD BLOCK 0 STREAMS s $", "XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "EXEC")
    assert replies.endswith(b"*2\r\n*-1\r\n*-1\r\n")


def test_rivals_cost_nothing(lab: Lab, client: Connection) -> None:
    """An entry is looked for by the consumer that gets it, and in vain by one more, however many wait."""
    counts = []
    for more in (3, 60):
        for number in range(more):
            reading(lab, f"{more} {number}".replace(" ", "-"))
        counts.append(calls(lab, {client: b"XADD s * f v\r\n"}).total())
    assert counts[1] <= counts[0] + 6, counts


def test_a_read_that_finds_something_is_no_write(lab: Lab, client: Connection) -> None:
    client.call("XADD s 1 f v")
    before = lab.commits()
    assert client.call("XREAD BLOCK 0 STREAMS s 0")[:1] == b"*"
    waiting(lab, "XREAD BLOCK 0 STREAMS s $")
    assert lab.commits() == before


def test_nobody_waits_where_writes_are_refused(lab: Lab, client: Connection) -> None:
    client.call("XADD s 1 f v")
    lab.server.state.write_refusal = "MISCONF a reason"
    assert client.call("XREAD BLOCK 0 STREAMS s 0")[:1] == b"*"
    assert client.call("XREAD BLOCK 0 STREAMS s $") == b"-MISCONF a reason\r\n"
    assert client.call("MULTI", "XREAD BLOCK 0 STREAMS s $", "EXEC").endswith(b"*1\r\n*-1\r\n")
    lab.server.state.write_refusal = ""
