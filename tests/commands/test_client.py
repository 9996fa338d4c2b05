"""CLIENT: names, lists, killing, pausing, replies off and on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyp.command.context import AT_ONCE_MAX
from keyp.commands.client_line import CONNECTION_BYTES
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb.transaction import WriteTransaction
from tests import wire
from tests.fakes import Connection, Lab

FIELDS = [
    "id", "addr", "laddr", "fd", "name", "age", "idle", "flags", "db", "sub", "psub", "ssub", "multi", "qbuf",
    "qbuf-free", "argv-mem", "multi-mem", "rbs", "rbp", "obl", "oll", "omem", "tot-mem", "events", "cmd", "user",
    "redir", "resp", "lib-name", "lib-ver",
]  # fmt: skip

BAD_NAME = "ERR Client names cannot contain spaces, newlines or special characters."
NOT_INTEGER = "ERR value is not an integer or out of range"
BAD_TIMEOUT = "ERR timeout is not an integer or out of range"
BAD_KILL_ID = "ERR client-id should be greater than 0"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


@pytest.fixture
def client(lab: Lab) -> Connection:
    return lab.connect()


def answer(client: Connection, line: str) -> Any:
    """The reply to one command."""
    return wire.parse(client.call(line))


def number(client: Connection) -> int:
    return client.connection.client.id


def lines(client: Connection, line: str = "CLIENT LIST") -> list[dict[str, str]]:
    """A list of clients as one mapping a line."""
    text = answer(client, line).decode()
    assert text == "" or text.endswith("\n")
    return [dict(field.split("=", 1) for field in part.split(" ")) for part in text.splitlines()]


def test_info_has_every_field_in_its_order(client: Connection) -> None:
    text = answer(client, "CLIENT INFO").decode()
    assert [field.split("=")[0] for field in text.rstrip("\n").split(" ")] == FIELDS
    assert text.endswith("resp=2 lib-name= lib-ver=\n")


def test_info_of_a_fresh_client(lab: Lab, client: Connection) -> None:
    lab.clock.advance_ms(5_999)
    [info] = lines(client, "CLIENT INFO")
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
    mine, theirs = lines(client)
    assert mine["cmd"] == "client|list"
    assert (theirs["id"], theirs["name"], theirs["db"], theirs["cmd"]) == (str(number(other)), "other", "2", "get")
    assert (theirs["flags"], theirs["multi"], theirs["idle"]) == ("x", "2", "3")
    assert theirs["multi-mem"] == str(len("SETkv" + "GETk") + 8 * 5)  # a pointer for each argument
    assert int(theirs["tot-mem"]) == CONNECTION_BYTES + int(theirs["multi-mem"])


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
    assert lines(client)[1]["cmd"] == shown


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
    assert lines(client)[1]["flags"] == "N"
    client.call(change)
    assert lines(client)[1]["flags"] == flags
    other.call("MULTI")
    assert lines(client)[1]["flags"] == "x" + flags.removeprefix("N")
    other.call("EXEC")
    assert lines(client)[1]["flags"] == "N"


def test_a_list_of_clients_that_watch_much_is_made_beside_the_others(lab: Lab, client: Connection) -> None:
    quarter = " ".join(map(str, range(AT_ONCE_MAX // 4)))
    for _ in range(4):
        lab.connect().call(f"WATCH {quarter}")
    assert [shown["flags"] for shown in lines(client)] == ["N"] * 5
    assert lab.reader_threads.done == 0
    lab.connect().call("WATCH k")
    assert [shown["flags"] for shown in lines(client)] == ["N"] * 6
    assert lab.reader_threads.done == 1


def test_who_watches_a_damaged_key_is_shown_as_one_whose_exec_fails(lab: Lab, client: Connection) -> None:
    client.call("SET k 1")
    other = lab.connect()
    other.call("WATCH k")
    transaction = WriteTransaction(lab.environment, 0)
    keys = WritableKeyspace(transaction, 0)
    transaction.txn.put(b"k", b"no record", db=keys.writable_space().keys)
    transaction.commit()
    assert lines(client)[1]["flags"] == "d"
    client.call("DEL k")


def test_list_shows_what_waits_in_buffers(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    other.send(b"*2\r\n$3\r\nGET\r\n$10\r\nabc")
    assert lines(client)[1]["qbuf"] != "0"
    client.call("SET big " + "x" * 1000)
    reader = lab.connect()
    reader.transport.socket.room = 10
    reader.call("GET big")
    shown = lines(client)[2]
    assert (shown["omem"], shown["oll"], shown["events"]) == (str(1000 + 9 - 10), "1", "rw")


def test_list_filters(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    mine, theirs = str(number(client)), str(number(other))
    assert [shown["id"] for shown in lines(client, "CLIENT LIST TYPE Normal")] == [mine, theirs]
    assert [shown["id"] for shown in lines(client, f"CLIENT LIST ID {theirs} 999 {mine}")] == [theirs, mine]
    for kind in ("master", "replica", "slave", "pubsub"):
        assert lines(client, f"CLIENT LIST TYPE {kind}") == []


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("CLIENT", "ERR wrong number of arguments for 'client' command"),
        ("CLIENT FOO", "ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
        ("CLIENT TRACKING ON", "ERR unknown subcommand 'TRACKING'. Try CLIENT HELP."),
        ("CLIENT GETNAME", None),
        ('CLIENT SETNAME "a b"', BAD_NAME),
        ('CLIENT SETNAME "\\xe9"', BAD_NAME),
        ("CLIENT SETNAME", "ERR wrong number of arguments for 'client|setname' command"),
        ("CLIENT SETINFO foo bar", "ERR Unrecognized option 'foo'"),
        ('CLIENT SETINFO lib-name "a b"', "ERR lib-name cannot contain spaces, newlines or special characters."),
        ('CLIENT SETINFO LIB-VER "a b"', "ERR LIB-VER cannot contain spaces, newlines or special characters."),
        ("CLIENT LIST FOO", "ERR syntax error"),
        ("CLIENT LIST TYPE", "ERR syntax error"),
        ("CLIENT LIST TYPE foo", "ERR Unknown client type 'foo'"),
        ("CLIENT LIST ID", "ERR syntax error"),
        ("CLIENT LIST ID x", "ERR Invalid client ID"),
        ("CLIENT LIST TYPE normal ID 1", "ERR syntax error"),
        ("CLIENT KILL", "ERR wrong number of arguments for 'client|kill' command"),
        ("CLIENT KILL 1.2.3.4:5", "ERR No such client"),
        ('CLIENT KILL ""', "ERR No such client"),
        ("CLIENT KILL ID", "ERR No such client"),
        ("CLIENT KILL ID x", BAD_KILL_ID),
        ("CLIENT KILL ID 0", BAD_KILL_ID),
        ("CLIENT KILL ID x FOO", BAD_KILL_ID),
        ("CLIENT KILL ID 999 FOO", "ERR syntax error"),
        ("CLIENT KILL ID 999", 0),
        ("CLIENT KILL TYPE foo", "ERR Unknown client type 'foo'"),
        ("CLIENT KILL TYPE pubsub SKIPME no", 0),
        ("CLIENT KILL USER nobody", "ERR No such user 'nobody'"),
        ('CLIENT KILL ADDR "" SKIPME no', 0),
        ('CLIENT KILL LADDR "" SKIPME no', 0),
        ("CLIENT KILL SKIPME maybe", "ERR syntax error"),
        ("CLIENT KILL FOO bar", "ERR syntax error"),
        ("CLIENT NO-EVICT maybe", "ERR syntax error"),
        ("CLIENT NO-TOUCH maybe", "ERR syntax error"),
        ("CLIENT REPLY maybe", "ERR syntax error"),
        ("CLIENT REPLY ON", "OK"),
        ("CLIENT PAUSE x", BAD_TIMEOUT),
        ("CLIENT PAUSE 1.5", BAD_TIMEOUT),
        ("CLIENT PAUSE -1", "ERR timeout is negative"),
        ("CLIENT PAUSE 9223372036854775807", "ERR timeout is out of range"),
        ("CLIENT PAUSE x FOO", "ERR CLIENT PAUSE mode must be WRITE or ALL"),
        (
            "CLIENT PAUSE 1 ALL x",
            "ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.",
        ),
        ("CLIENT UNPAUSE", "OK"),
        ("CLIENT UNBLOCK 999", 0),
        ("CLIENT UNBLOCK 999 timeout", 0),
        ("CLIENT UNBLOCK 999 ERROR", 0),
        ("CLIENT UNBLOCK x", NOT_INTEGER),
        ("CLIENT UNBLOCK x FOO", "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        (
            "CLIENT UNBLOCK 1 ERROR x",
            "ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.",
        ),
        ("CLIENT GETREDIR", -1),
    ],
)
def test_replies(client: Connection, line: str, reply: Any) -> None:
    assert answer(client, line) == reply
    assert answer(client, "PING") == "PONG"


def test_names(client: Connection) -> None:
    assert answer(client, "CLIENT SETNAME a!~") == "OK"
    assert answer(client, "CLIENT GETNAME") == b"a!~"
    assert answer(client, 'CLIENT SETNAME ""') == "OK"
    assert answer(client, "CLIENT GETNAME") is None


def test_ids_are_never_used_twice(lab: Lab) -> None:
    first = lab.connect()
    one = answer(first, "CLIENT ID")
    first.lose()
    assert answer(lab.connect(), "CLIENT ID") == one + 1


def test_kill_by_address(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    other.connection.client.address = "10.0.0.7:1"
    assert answer(client, "CLIENT KILL 10.0.0.7:1") == "OK"
    assert other.transport.disconnecting
    assert [shown["id"] for shown in lines(client)] == [str(number(client))]


def test_kill_by_filters(lab: Lab, client: Connection) -> None:
    victims = [lab.connect() for _ in range(3)]
    assert answer(client, f"CLIENT KILL ID {number(victims[0])} TYPE pubsub") == 0
    assert answer(client, f"CLIENT KILL ID {number(victims[0])} LADDR 127.0.0.1:6377") == 1
    assert victims[0].transport.disconnecting
    assert answer(client, "CLIENT KILL TYPE normal USER default") == 2
    assert all(victim.transport.disconnecting for victim in victims)
    assert answer(client, "PING") == "PONG"


def test_one_who_kills_himself_hears_of_it(lab: Lab, client: Connection) -> None:
    assert client.call(f"CLIENT KILL ID {number(client)}", "PING") == b":0\r\n+PONG\r\n"
    assert client.call(f"CLIENT KILL ID {number(client)} SKIPME no", "PING") == b":1\r\n"
    assert client.transport.disconnecting
    second = lab.connect()
    assert second.call("CLIENT KILL 10.0.0.9:50000") == b"+OK\r\n"
    assert second.transport.disconnecting


def test_replies_off_and_on(client: Connection) -> None:
    assert client.call("CLIENT REPLY OFF", "PING", "NOSUCH") == b""
    assert client.call("PING", "CLIENT REPLY SKIP") == b""
    assert client.call("CLIENT REPLY ON", "PING") == b"+OK\r\n+PONG\r\n"


@pytest.mark.parametrize(
    ("calls", "replies"),
    [
        (["CLIENT REPLY SKIP", "ECHO a", "ECHO b"], b"$1\r\nb\r\n"),
        (["CLIENT REPLY SKIP", "NOSUCH", "ECHO b"], b"$1\r\nb\r\n"),
        (["CLIENT REPLY SKIP", "CLIENT REPLY SKIP", "ECHO a", "ECHO b"], b"$1\r\nb\r\n"),
        (["CLIENT REPLY SKIP", "CLIENT REPLY ON", "ECHO b"], b"+OK\r\n$1\r\nb\r\n"),
    ],
)
def test_skipped_replies(client: Connection, calls: list[str], replies: bytes) -> None:
    assert client.call(*calls) == replies
    one_by_one = client.lab.connect()
    assert b"".join([one_by_one.call(call) for call in calls]) == replies


def test_pause_lets_writes_wait(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    assert answer(client, "CLIENT PAUSE 1000 WRITE") == "OK"
    assert other.call("SET k v") == b""
    assert client.call("GET k") == b"$-1\r\n"
    before = len(other.transport.sent)
    lab.advance_ms(1001)
    assert other.transport.sent[before:] == b"+OK\r\n"


@pytest.mark.parametrize(
    ("lines", "held"),
    [
        ("PUBLISH c m", True),
        ("SPUBLISH c m", True),
        ("PFCOUNT h", True),
        ("BITFIELD k GET u8 0", True),
        ("SORT k", True),
        ("BLPOP k 1", True),
        ("FLUSHALL", True),
        ("MULTI;SET k 1", True),  # not even to be queued
        ("MULTI;PUBLISH c m", True),
        ("MULTI;GET k;EXEC", False),
        ("SUBSCRIBE c", False),
        ("PUBSUB CHANNELS", False),
        ("BITFIELD_RO k GET u8 0", False),
        ("SORT_RO k", False),
        ("WATCH k", False),
        ("SET k", False),
    ],
)
def test_pause_holds_what_the_reference_would_replicate(lab: Lab, client: Connection, lines: str, held: bool) -> None:
    other = lab.connect()
    assert answer(client, "CLIENT PAUSE 1000 WRITE") == "OK"
    replies = [other.call(line) for line in lines.split(";")]
    assert (replies[-1] == b"") == held
    lab.advance_ms(1001)
    lab.advance_ms(1001)  # BLPOP's own time
    assert len(wire.split(other.transport.sent)) == len(replies)


@pytest.mark.parametrize(("queued", "held"), [("SET k v", True), ("PFCOUNT h", True), ("GET k", False)])
def test_pause_holds_exec_of_what_it_holds(lab: Lab, client: Connection, queued: str, held: bool) -> None:
    other = lab.connect()
    other.call("MULTI", queued)
    assert answer(client, "CLIENT PAUSE 1000 WRITE") == "OK"
    assert (other.call("EXEC") == b"") == held


def test_pause_lets_all_wait_until_it_is_called_off(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    assert answer(client, "CLIENT PAUSE 60000") == "OK"
    assert other.call("PING") == b""
    lab.advance_ms(60_001)
    assert other.transport.sent == b"+PONG\r\n"
    assert answer(client, "CLIENT PAUSE 60000 WRITE") == "OK"
    assert other.call("SET k v") == b""
    assert answer(client, "CLIENT UNPAUSE") == "OK"
    assert other.transport.sent == b"+PONG\r\n+OK\r\n"


def test_help(client: Connection) -> None:
    text = answer(client, "CLIENT HELP")
    assert text[0] == "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    assert text[text.index("SETNAME connection-name") + 1].startswith("    ")
    assert text[-2:] == ["HELP", "    Print this help."]
    assert text.count("HELP") == 1
