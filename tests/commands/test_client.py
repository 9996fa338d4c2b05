"""CLIENT: what lists show of each client, who is killed, how long a pause lasts."""

from __future__ import annotations

import pytest

from keyp.command.context import AT_ONCE_MAX
from keyp.server.client_memory import ARGUMENT_BYTES, CALL_BYTES, CONNECTION_BYTES
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb.transaction import WriteTransaction
from tests import wire
from tests.commands.conftest import listed
from tests.fakes import Connection, Lab

FIELDS = [
    "id", "addr", "laddr", "fd", "name", "age", "idle", "flags", "db", "sub", "psub", "ssub", "multi", "qbuf",
    "qbuf-free", "argv-mem", "multi-mem", "rbs", "rbp", "obl", "oll", "omem", "tot-mem", "events", "cmd", "user",
    "redir", "resp", "lib-name", "lib-ver",
]  # fmt: skip


def number(client: Connection) -> int:
    return client.connection.client.id


def test_info_has_every_field_in_its_order(client: Connection) -> None:
    text = client.answer("CLIENT INFO").decode()
    assert [field.split("=")[0] for field in text.rstrip("\n").split(" ")] == FIELDS
    assert text.endswith("resp=2 lib-name= lib-ver=\n")


def test_info_of_a_fresh_client(lab: Lab, client: Connection) -> None:
    lab.clock.advance_ms(5_999)
    [info] = listed(client, "CLIENT INFO")
    assert info["id"] == str(number(client))
    assert (info["addr"], info["laddr"], info["fd"]) == ("10.0.0.9:50000", "127.0.0.1:6377", "7")
    assert (info["age"], info["idle"], info["flags"], info["db"]) == ("5", "0", "N", "0")
    assert (info["name"], info["multi"], info["cmd"]) == ("", "-1", "client|info")
    assert info["argv-mem"] == str(len("CLIENT" + "INFO"))
    assert info["tot-mem"] == str(CONNECTION_BYTES + len("CLIENT" + "INFO"))
    assert (info["user"], info["redir"], info["resp"], info["events"]) == ("default", "-1", "2", "r")


def test_info_shows_what_the_same_chunk_has_changed(client: Connection) -> None:
    replies = client.call(
        "HELLO 3 SETNAME joe",
        "SELECT 3",
        "WATCH a b",
        "CLIENT SETINFO lib-name py",
        "CLIENT SETINFO LIB-VER 1.2",
        "CLIENT NO-EVICT on",
        "CLIENT NO-TOUCH ON",
        "CLIENT INFO",
    )
    text = wire.split(replies)[-1]
    assert text.startswith(b"=")
    for field in (b"name=joe", b"db=3", b"flags=eT", b"resp=3", b"lib-name=py", b"lib-ver=1.2"):
        assert b" %s" % field in text


def test_list_shows_all_clients_as_they_are(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    other.call("CLIENT SETNAME other", "SELECT 2", "MULTI", "SET k v", "GET k")
    lab.clock.advance_ms(3_000)
    mine, theirs = listed(client)
    assert mine["cmd"] == "client|list"
    assert (theirs["id"], theirs["name"], theirs["db"], theirs["cmd"]) == (str(number(other)), "other", "2", "get")
    assert (theirs["flags"], theirs["multi"], theirs["idle"]) == ("x", "2", "3")
    assert theirs["multi-mem"] == str(len("SETkv" + "GETk") + 8 * 5)  # a pointer for each argument
    assert int(theirs["tot-mem"]) == CONNECTION_BYTES + int(theirs["multi-mem"]) + 2 * CALL_BYTES + 5 * ARGUMENT_BYTES


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("NOSUCH", "NULL"),
        ("CLIENT NOSUCH", "NULL"),
        ("GET", "get"),
        ("GET k k", "get"),
        ("MULTI|GET", "get"),
        ("MULTI|GET k|CLIENT GETNAME", "client|getname"),
        ("MULTI|GET k|NOSUCH", "NULL"),
        ("MULTI|GET k|CLIENT REPLY OFF", "client|reply"),
        ("MULTI|GET k|EXEC", "exec"),
        ("MULTI|GET k|DISCARD", "discard"),
        ("BLPOP k 0", "blpop"),
        ("PING|BLPOP k 0|GET k", "blpop"),
    ],
)
def test_list_shows_the_last_command(lab: Lab, client: Connection, sent: str, shown: str) -> None:
    lab.connect().call(*sent.split("|"))
    assert listed(client)[1]["cmd"] == shown


def test_a_client_that_asks_inside_exec_is_shown_as_it_runs(client: Connection) -> None:
    text = wire.parse(wire.split(client.call("MULTI", "GET k", "CLIENT INFO", "EXEC"))[-1])[1].decode()
    shown = dict(field.split("=", 1) for field in text.rstrip("\n").split(" "))
    assert (shown["flags"], shown["multi"], shown["cmd"], shown["argv-mem"]) == ("x", "2", "exec", "4")
    assert shown["multi-mem"] == str(len("GETk" + "CLIENTINFO") + 8 * 4)


@pytest.mark.parametrize(
    ("change", "flags"),
    [
        ("SET k 2", "d"),
        ("DEL k", "d"),
        ("EXPIRE k 100", "d"),
        ("FLUSHALL", "d"),
        ("SET other 1", "N"),
        ("SETBIT k 0 0", "N"),
        ("GET k", "N"),
    ],
)
def test_list_shows_who_watches_what_has_changed(lab: Lab, client: Connection, change: str, flags: str) -> None:
    client.call("SET k 1")
    other = lab.connect()
    other.call("WATCH k")
    assert listed(client)[1]["flags"] == "N"
    client.call(change)
    assert listed(client)[1]["flags"] == flags
    other.call("MULTI")
    assert listed(client)[1]["flags"] == "x" + flags.removeprefix("N")
    other.call("EXEC")
    assert listed(client)[1]["flags"] == "N"


def test_a_list_of_clients_that_watch_much_is_made_beside_the_others(lab: Lab, client: Connection) -> None:
    others = 4
    for _ in range(others):
        lab.connect().call("WATCH " + " ".join(map(str, range((AT_ONCE_MAX - others - 1) // others))))
    assert [shown["flags"] for shown in listed(client)] == ["N"] * 5
    assert lab.reader_threads.done == 0
    lab.connect().call("WATCH a b c d e f g")
    assert [shown["flags"] for shown in listed(client)] == ["N"] * 6
    assert lab.reader_threads.done == 1


def test_a_list_of_many_clients_is_made_beside_the_others(lab: Lab, client: Connection) -> None:
    others = [lab.connect() for _ in range(AT_ONCE_MAX)]
    assert len(listed(client)) == 1 + len(others)
    assert lab.reader_threads.done == 1


def test_who_watches_a_damaged_key_is_shown_as_one_whose_exec_fails(lab: Lab, client: Connection) -> None:
    client.call("SET k 1")
    other = lab.connect()
    other.call("WATCH k")
    transaction = WriteTransaction(lab.environment, 0)
    keys = WritableKeyspace(transaction, 0)
    transaction.txn.put(b"k", b"no record", db=keys.writable_space().keys)
    transaction.commit()
    assert listed(client)[1]["flags"] == "d"
    client.call("DEL k")


def test_list_shows_what_waits_in_buffers(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    other.send(b"*2\r\n$3\r\nGET\r\n$10\r\nabc")
    assert listed(client)[1]["qbuf"] != "0"
    client.call("SET big " + "x" * 1000)
    reader = lab.connect()
    reader.transport.socket.room = 10
    reader.call("GET big")
    shown = listed(client)[2]
    assert (shown["omem"], shown["oll"], shown["events"]) == (str(1000 + 9 - 10), "1", "rw")


def test_list_filters(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    mine, theirs = str(number(client)), str(number(other))
    assert [shown["id"] for shown in listed(client, "CLIENT LIST TYPE Normal")] == [mine, theirs]
    assert [shown["id"] for shown in listed(client, f"CLIENT LIST ID {theirs} 999 {mine}")] == [theirs, mine]
    for kind in ("master", "replica", "slave", "pubsub"):
        assert listed(client, f"CLIENT LIST TYPE {kind}") == []


def test_ids_are_never_used_twice(lab: Lab) -> None:
    first = lab.connect()
    one = first.answer("CLIENT ID")
    first.lose()
    assert lab.connect().answer("CLIENT ID") == one + 1


def test_kill_by_address(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    other.connection.client.address = "10.0.0.7:1"
    assert client.answer("CLIENT KILL 10.0.0.7:1") == "OK"
    assert other.transport.disconnecting
    assert [shown["id"] for shown in listed(client)] == [str(number(client))]


def test_kill_by_filters(lab: Lab, client: Connection) -> None:
    victims = [lab.connect() for _ in range(3)]
    assert client.answer(f"CLIENT KILL ID {number(victims[0])} TYPE pubsub") == 0
    assert client.answer(f"CLIENT KILL ID {number(victims[0])} LADDR 127.0.0.1:6377") == 1
    assert victims[0].transport.disconnecting
    assert client.answer("CLIENT KILL TYPE normal USER default") == 2
    assert all(victim.transport.disconnecting for victim in victims)
    assert client.answer("PING") == "PONG"


def test_one_who_kills_himself_hears_of_it(lab: Lab, client: Connection) -> None:
    assert client.call(f"CLIENT KILL ID {number(client)}", "PING") == b":0\r\n+PONG\r\n"
    assert client.call(f"CLIENT KILL ID {number(client)} SKIPME no", "PING") == b":1\r\n"
    assert client.transport.disconnecting
    second = lab.connect()
    assert second.call("CLIENT KILL 10.0.0.9:50000") == b"+OK\r\n"
    assert second.transport.disconnecting


def test_pause_lets_writes_wait(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    assert client.answer("CLIENT PAUSE 1000 WRITE") == "OK"
    assert other.call("SET k v") == b""
    assert client.call("GET k") == b"$-1\r\n"
    before = len(other.transport.sent)
    lab.advance_ms(1001)
    assert other.transport.sent[before:] == b"+OK\r\n"


def test_pause_lets_all_wait_until_it_is_called_off(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    assert client.answer("CLIENT PAUSE 60000") == "OK"
    assert other.call("PING") == b""
    lab.advance_ms(60_001)
    assert other.transport.sent == b"+PONG\r\n"
    assert client.answer("CLIENT PAUSE 60000 WRITE") == "OK"
    assert other.call("SET k v") == b""
    assert client.answer("CLIENT UNPAUSE") == "OK"
    assert other.transport.sent == b"+PONG\r\n+OK\r\n"
