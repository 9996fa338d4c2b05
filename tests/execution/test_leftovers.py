"""What remains of a client that has gone: nothing. Counted in live objects, not in bytes."""

from __future__ import annotations

import gc

from keyp.execution.batch import Batch, Call
from keyp.net.connection import Connection
from keyp.net.protocol import RedisProtocol
from keyp.resp.parser import RequestParser
from keyp.server.clients import Client, ClientState
from tests.fakes import Lab

OURS = (Batch, Call, Client, ClientState, Connection, RedisProtocol, RequestParser)


def live(collect: bool = True) -> dict[str, int]:
    if collect:
        gc.collect()
    # The type itself is asked for: some objects of other packages answer `isinstance` with an effect or an error.
    kinds = [type(thing) for thing in gc.get_objects()]
    return {kind.__name__: kinds.count(kind) for kind in OURS}


def come_and_go(lab: Lab) -> None:
    """Everything that ties a client to the server: names, watches, queues, errors, reads, writes, half a request."""
    for number in range(20):
        client = lab.connect()
        client.call("HELLO 3", f"CLIENT SETNAME n{number}", "WATCH a b", "MULTI", "SET a 1", "EXEC")
        client.call("SET a 1 PX 100", "GET a", "NO SUCH", "INCR", "KEYS *", "SCAN 0", "CLIENT NO-EVICT on")
        client.call("WATCH a", "MULTI", "GET a")
        client.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100\r\nhalf")
        client.lose()
    killer, victim = lab.connect(), lab.connect()
    killer.call(f"CLIENT KILL ID {victim.connection.client.id}", "CLIENT LIST")
    victim.lose()
    killer.lose()


def test_nothing_remains_of_clients_that_have_gone(lab: Lab) -> None:
    come_and_go(lab)
    before = live()
    come_and_go(lab)
    assert live() == before
    assert len(lab.server.state.clients) == 0
    assert lab.server._connections == {}


def test_what_a_client_leaves_goes_with_it_and_waits_for_no_collector(lab: Lab) -> None:
    """A reply of a hundred megabytes must not stay until Python looks for what refers to itself."""

    def ask_and_leave() -> None:
        client = lab.connect()
        client.call("SET a 1", "GET a", "CLIENT ID", "MULTI", "GET a", "EXEC", "BLPOP l 0.001")
        lab.advance_ms(2)
        client.send(b"GET a\r\n" * 3)
        client.lose()
        client.transport.protocol = client.transport.producer = None  # as Twisted's transports do

    ask_and_leave()
    before = live()
    gc.disable()
    try:
        ask_and_leave()
        after = live(collect=False)
    finally:
        gc.enable()
    kept = {"Connection", "RedisProtocol", "Batch", "Call", "RequestParser"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
