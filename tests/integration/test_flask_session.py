"""Flask-Session with its redis backend: a shop, visitors with carts, and a restart of Keyp in the middle."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import redis

from tests.integration.browser import Browser
from tests.integration.conftest import StartServer
from tests.integration.daemon import free_port, wait_until
from tests.integration.programs import service

SITE = str(Path(__file__).with_name("flask_site.py"))


def test_carts(server: StartServer) -> None:
    daemon, port = server(), free_port()
    command = [sys.executable, "-m", "flask", "--app", SITE, "run", "--port", str(port)]
    environment = {"KEYP_PORT": str(daemon.port)}
    with service("site", command, daemon.directory, environment, end=signal.SIGINT), redis.Redis(port=daemon.port) as r:
        ada, bob, eve = visitors = [Browser(port) for _ in range(3)]
        ada.wait("/cart")
        r.flushall()
        for number in range(5):
            ada.get(f"/add/book{number}")
        bob.get("/add/lamp")
        eve.get("/add/rug")
        assert [json.loads(visitor.get("/cart")) for visitor in visitors] == [
            [f"book{number}" for number in range(5)],
            ["lamp"],
            ["rug"],
        ]
        eve.get("/leave")
        keys = r.keys()
        assert len(keys) == 2
        assert all(key.startswith(b"session:") and 3500 < r.ttl(key) <= 3600 for key in keys), keys

        daemon.stop()
        daemon.start()
        assert json.loads(ada.get("/add/shelf"))[-2:] == ["book4", "shelf"]
        assert json.loads(bob.get("/cart")) == ["lamp"]
        assert json.loads(eve.get("/cart")) == []
        (bobs,) = [key for key in r.scan_iter() if b"lamp" in r.get(key)]
        assert r.pexpire(bobs, 1) is True
        wait_until(lambda: not r.exists(bobs), "the session has run out")
        assert json.loads(bob.get("/cart")) == []
