"""Connections: order, pace, ends. No socket, no thread, no real time."""

from __future__ import annotations

import pytest

from tests.fakes import Lab


def test_requests_of_one_chunk_are_one_batch_one_commit_and_one_send(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("SET a 1", "INCR a", "GET a", "PING") == b"+OK\r\n:2\r\n$1\r\n2\r\n+PONG\r\n"
    assert lab.writer_thread.done == 1
    assert client.transport.socket.sends == 1


def test_a_read_takes_no_thread(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("GET nothing", "EXISTS nothing") == b"$-1\r\n:0\r\n"
    assert lab.writer_thread.done == lab.reader_threads.done == 0


def test_writes_of_all_connections_in_one_iteration_are_one_group(lab: Lab) -> None:
    clients = [lab.connect() for _ in range(50)]
    for index, client in enumerate(clients):
        client.protocol.dataReceived(b"SET k%d v\r\n" % index)
    lab.settle()
    assert all(client.transport.sent == b"+OK\r\n" for client in clients)
    assert lab.writer_thread.done == 1
    assert lab.server.state.metrics.commit_groups == 1


def test_what_arrives_while_a_group_commits_makes_up_the_next(lab: Lab) -> None:
    lab.writer_thread.held = True
    clients = [lab.connect() for _ in range(10)]
    clients[0].protocol.dataReceived(b"INCR n\r\n")
    lab.settle()
    for client in clients[1:]:
        client.protocol.dataReceived(b"INCR n\r\n")
    lab.settle()
    assert len(lab.writer_thread.line) == 1
    lab.writer_thread.work()
    assert clients[0].transport.sent == b":1\r\n"
    lab.settle()
    lab.writer_thread.work()
    assert [client.transport.sent for client in clients] == [b":%d\r\n" % n for n in range(1, 11)]
    assert lab.writer_thread.done == 2


def test_a_connection_keeps_its_order_while_a_batch_is_under_way(lab: Lab) -> None:
    lab.writer_thread.held = True
    client = lab.connect()
    client.send(b"SET a 1\r\n")
    client.send(b"GET a\r\n")
    client.send(b"SET a 2\r\nGET a\r\n")
    assert client.transport.sent == b""
    lab.writer_thread.work()
    lab.settle()
    assert client.transport.sent == b"+OK\r\n"  # the rest waits behind the second write, in one batch
    lab.writer_thread.work()
    assert client.transport.sent == b"+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n"


def test_no_reply_leaves_before_the_commit(lab: Lab) -> None:
    lab.writer_thread.held = True
    client, other = lab.connect(), lab.connect()
    client.send(b"SET a 1\r\n")
    assert client.transport.sent == b""
    assert other.call("GET a") == b"$-1\r\n"
    lab.writer_thread.work()
    assert client.transport.sent == b"+OK\r\n"
    assert other.call("GET a") == b"$1\r\n1\r\n"


def test_walking_commands_run_on_a_thread_and_block_nobody(lab: Lab) -> None:
    lab.reader_threads.held = True
    walker, other = lab.connect(), lab.connect()
    walker.send(b"SET a 1\r\nKEYS *\r\n")
    assert walker.transport.sent == b"+OK\r\n*1\r\n$1\r\na\r\n"  # behind a write it runs in its transaction
    walker.send(b"KEYS *\r\n")
    assert other.call("GET a") == b"$1\r\n1\r\n"
    lab.reader_threads.work()
    assert walker.transport.sent.endswith(b"*1\r\n$1\r\na\r\n" * 2)


def test_a_client_that_does_not_read_stops_only_itself(lab: Lab) -> None:
    slow, other = lab.connect(), lab.connect()
    slow.transport.socket.room = 3
    slow.send(b"PING\r\n")
    assert slow.transport.sent == b"+PO"
    assert slow.transport.value() == b"NG\r\n"
    assert slow.transport.producerState == "paused"
    slow.send(b"PING\r\n")
    assert slow.transport.value() == b"NG\r\n"
    assert other.call("PING") == b"+PONG\r\n"
    assert slow.connection.client.output_buffered == 4
    slow.transport.drain()
    lab.settle()
    assert slow.transport.sent == b"+PONG\r\n+PONG\r\n"
    assert slow.transport.producerState == "producing"
    assert slow.connection.client.output_buffered == 0


def test_a_flood_behind_a_batch_stops_the_reading(lab: Lab) -> None:
    lab.writer_thread.held = True
    client = lab.connect()
    client.send(b"SET a 1\r\n")
    chunk = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n" * 3000
    for _ in range(30):
        client.send(chunk)
        if client.transport.producerState == "paused":
            break
    assert client.transport.producerState == "paused"
    lab.writer_thread.work()
    lab.settle()
    assert client.transport.producerState == "producing"
    assert client.transport.sent.count(b"$1\r\n1\r\n") % 3000 == 0


@pytest.mark.parametrize(
    ("data", "replies"),
    [
        (b"PING\r\n*x\r\nPING\r\n", b"+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n!4\r\n", b"-ERR Protocol error: expected '$', got '!'\r\n"),
        (b'SET "a\r\n', b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    ],
)
def test_a_malformed_request_is_answered_and_ends_the_connection(lab: Lab, data: bytes, replies: bytes) -> None:
    client = lab.connect()
    assert client.send(data) == replies
    assert client.transport.disconnecting
    assert client.send(b"PING\r\n") == b""


def test_a_malformed_request_behind_a_write_waits_for_its_reply(lab: Lab) -> None:
    client = lab.connect()
    assert client.send(b"SET a 1\r\n*x\r\n") == b"+OK\r\n-ERR Protocol error: invalid multibulk length\r\n"


def test_quit_answers_and_nothing_behind_it_runs(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("PING", "QUIT", "SET a 1") == b"+PONG\r\n+OK\r\n"
    assert client.transport.disconnecting
    assert lab.connect().call("EXISTS a") == b":0\r\n"


def test_a_client_too_many_is_told_so(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("CONFIG SET maxclients 1") == b"+OK\r\n"
    refused = lab.connect()
    assert refused.transport.sent == b"-ERR max number of clients reached\r\n"
    assert refused.transport.disconnecting
    refused.lose()
    assert lab.server.state.metrics.connections_rejected == 1
    assert client.call("PING") == b"+PONG\r\n"


def test_those_who_are_leaving_make_room_where_their_number_matters(lab: Lab) -> None:
    client, leaver = lab.connect(), lab.connect()
    assert client.call("CONFIG SET maxclients 2") == b"+OK\r\n"
    lab.loop.drop_closed = leaver.lose
    assert lab.connect().call("PING") == b"+PONG\r\n"


def test_silent_clients_are_disconnected_when_timeout_says_so(lab: Lab) -> None:
    silent, busy = lab.connect(), lab.connect()
    busy.call("CONFIG SET timeout 10")
    lab.advance_ms(9_000)
    busy.call("PING")
    lab.advance_ms(2_000)
    lab.server.close_idle_clients()
    assert silent.transport.disconnecting
    assert not busy.transport.disconnecting


def test_a_client_kills_another(lab: Lab) -> None:
    killer, victim = lab.connect(), lab.connect()
    assert killer.call(f"CLIENT KILL ID {victim.connection.client.id}") == b":1\r\n"
    assert victim.transport.disconnecting
    assert not victim.transport.aborted
    assert not killer.transport.disconnecting


def test_a_client_that_does_not_read_is_killed_all_the_same(lab: Lab) -> None:
    killer, victim = lab.connect(), lab.connect()
    victim.transport.socket.room = 0
    victim.call("PING")
    assert killer.call(f"CLIENT KILL ID {victim.connection.client.id}") == b":1\r\n"
    assert victim.transport.aborted


def test_a_client_that_kills_itself_hears_of_it_first(lab: Lab) -> None:
    client = lab.connect()
    assert client.call(f"CLIENT KILL ID {client.connection.client.id} SKIPME no", "PING") == b":1\r\n"
    assert client.transport.disconnecting


def test_the_reply_to_a_client_that_has_left_goes_nowhere(lab: Lab) -> None:
    lab.writer_thread.held = True
    client = lab.connect()
    client.send(b"SET a 1\r\n")
    client.lose()
    lab.writer_thread.work()
    lab.settle()
    assert client.transport.sent == b""
    assert lab.connect().call("GET a") == b"$1\r\n1\r\n"


def test_debug_sleep_delays_only_who_asked(lab: Lab) -> None:
    sleeper, other = lab.connect(), lab.connect()
    assert sleeper.call("DEBUG SLEEP 0.5") == b""
    assert other.call("PING") == b"+PONG\r\n"
    lab.advance_ms(400)
    assert sleeper.transport.sent == b""
    lab.advance_ms(200)
    assert sleeper.transport.sent == b"+OK\r\n"


def test_shutdown_stops_the_server_and_is_not_answered(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("SET a 1", "SHUTDOWN", "SET a 2") == b"+OK\r\n"
    assert lab.stopped == 1
    assert client.transport.disconnecting


def test_finishing_answers_what_is_under_way_and_takes_no_more(lab: Lab) -> None:
    lab.writer_thread.held = True
    busy, idle = lab.connect(), lab.connect()
    busy.send(b"SET a 1\r\n")
    busy.send(b"SET a 2\r\n")
    gone: list[None] = []
    lab.server.finish_clients().addCallback(gone.append)
    assert idle.transport.disconnecting
    assert not busy.transport.disconnecting
    lab.writer_thread.work()
    lab.settle()
    assert busy.transport.sent == b"+OK\r\n"  # the second SET was never acknowledged
    assert busy.transport.disconnecting
    busy.lose()
    assert gone == []
    idle.lose()
    assert gone == [None]


def test_pause_holds_writes_and_lets_reads_pass(lab: Lab) -> None:
    admin, other = lab.connect(), lab.connect()
    assert admin.call("CLIENT PAUSE 1000 WRITE") == b"+OK\r\n"
    assert other.call("SET a 1") == b""
    assert admin.call("GET a") == b"$-1\r\n"
    lab.advance_ms(1001)
    assert other.transport.sent == b"+OK\r\n"


def test_a_pause_holds_what_stands_behind_it_in_its_own_pipeline(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("CLIENT PAUSE 1000 WRITE", "SET a 1", "GET a") == b"+OK\r\n"
    lab.advance_ms(1001)
    assert client.transport.sent == b"+OK\r\n+OK\r\n$1\r\n1\r\n"


def test_a_pause_holds_nothing_of_the_transaction_that_asked_for_it(lab: Lab) -> None:
    client = lab.connect()
    queued = b"+OK\r\n" + b"+QUEUED\r\n" * 2
    assert client.call("MULTI", "CLIENT PAUSE 1000", "SET a 1", "EXEC", "GET a") == queued + b"*2\r\n+OK\r\n+OK\r\n"
    lab.advance_ms(1001)
    assert client.transport.sent.endswith(b"$1\r\n1\r\n")


def test_a_pause_holds_a_pipeline_from_its_first_write_on(lab: Lab) -> None:
    admin, other = lab.connect(), lab.connect()
    admin.call("CLIENT PAUSE 100000 WRITE")
    assert other.call("GET a", "NOSUCH", "SET a 1", "GET a").startswith(b"$-1\r\n-ERR unknown command 'NOSUCH'")
    assert other.transport.sent.count(b"\r\n") == 2
    assert admin.call("CLIENT UNPAUSE", "SET b 1") == b"+OK\r\n+OK\r\n"
    lab.settle()
    assert other.transport.sent.endswith(b"+OK\r\n$1\r\n1\r\n")


def test_a_pause_of_no_time_holds_nothing(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("CLIENT PAUSE 0", "SET a 1") == b"+OK\r\n+OK\r\n"


def test_unpause_ends_a_pause(lab: Lab) -> None:
    admin, other = lab.connect(), lab.connect()
    admin.call("CLIENT PAUSE 100000 WRITE")
    assert other.call("SET a 1") == b""
    assert admin.call("CLIENT UNPAUSE") == b"+OK\r\n"
    lab.settle()
    assert other.transport.sent == b"+OK\r\n"


def test_resp3_is_spoken_from_its_hello_on(lab: Lab) -> None:
    client = lab.connect()
    replies = client.call("GET a", "HELLO 3", "GET a")
    assert replies.startswith(b"$-1\r\n%7\r\n")
    assert replies.endswith(b"_\r\n")


def test_client_reply_off_and_skip(lab: Lab) -> None:
    client = lab.connect()
    assert client.call("CLIENT REPLY OFF", "PING", "SET a 1") == b""
    assert client.call("PING") == b""
    assert client.call("CLIENT REPLY ON", "GET a") == b"+OK\r\n$1\r\n1\r\n"
    assert client.call("CLIENT REPLY SKIP", "GET a", "PING") == b"+PONG\r\n"


def test_a_reply_that_was_to_come_later_comes_when_the_server_stops(lab: Lab) -> None:
    sleeper = lab.connect()
    assert sleeper.call("DEBUG SLEEP 3600", "PING") == b""
    sleeper.send(b"SET k v\r\n")  # which is not run any more
    gone = lab.server.finish_clients()
    assert sleeper.transport.sent == b"+OK\r\n+PONG\r\n"
    assert sleeper.transport.disconnecting
    assert lab.reactor.getDelayedCalls() == []
    sleeper.lose()
    assert gone.called
    assert lab.server.delay(3600) is None
