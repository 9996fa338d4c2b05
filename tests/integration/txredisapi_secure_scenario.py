"""What test_secure_clients.py runs: txredisapi with a user and a password, and with TLS where there is an authority.

    python txredisapi_secure_scenario.py PORT USER PASSWORD [AUTHORITY]

Exits with status 0 and the line `done` when everything was as it should be.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import txredisapi as redis
from twisted.internet import ssl, task
from twisted.internet.defer import inlineCallbacks


def verified(authority: str) -> Any:
    """TLS with a server whose certificate the authority has signed for this address."""
    trusted = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(Path(authority).read_bytes())])
    return ssl.optionsForClientTLS("127.0.0.1", trustRoot=trusted)


@inlineCallbacks
def talk(port: int, name: str, password: str, context: Any) -> Any:
    options = {"username": name, "password": password, "ssl_context_factory": context}
    rc = yield redis.Connection("127.0.0.1", port, **options)
    assert (yield rc.set("a", "v" * 100_000)) == "OK"
    assert (yield rc.get("a")) == "v" * 100_000
    waits = yield redis.Connection("127.0.0.1", port, **options)
    waiting = waits.blpop(["l"], 10)
    yield rc.rpush("l", "x")
    assert (yield waiting) == ["l", "x"]
    wrong = {**options, "password": "wrong", "reconnect": False}
    refused = yield redis.Connection("127.0.0.1", port, **wrong).addErrback(lambda failure: failure.value)
    assert "WRONGPASS" in str(refused)
    yield rc.disconnect()
    yield waits.disconnect()


def main(reactor: Any) -> Any:
    port, name, password, *authority = sys.argv[1:]
    return talk(int(port), name, password, verified(authority[0]) if authority else False)


task.react(lambda reactor: main(reactor).addCallback(lambda ignored: print("done")))
