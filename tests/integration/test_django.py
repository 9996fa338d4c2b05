"""Django with Keyp as its cache and the place of its sessions: a site, visitors, and restarts in the middle."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.integration.browser import Browser
from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon, free_port
from tests.integration.programs import finish, service

SITE = str(Path(__file__).with_name("django_site.py"))


@pytest.fixture(params=["cache", "cached_db"])
def site(server: StartServer, request: pytest.FixtureRequest) -> Iterator[tuple[Daemon, Browser]]:
    """The server behind a site, and a visitor; sessions are in the cache alone, or in a database as well."""
    daemon, port = server(), free_port()
    environment = {"KEYP_PORT": str(daemon.port), "SESSIONS": f"django.contrib.sessions.backends.{request.param}"}
    finish([sys.executable, SITE, "migrate"], daemon.directory, environment)
    command = [sys.executable, SITE, "runserver", "--noreload", str(port)]
    with service("site", command, daemon.directory, environment, end=signal.SIGINT):
        visitor = Browser(port)
        visitor.wait("/look")
        yield daemon, visitor


def test_cache_and_sessions(site: tuple[Daemon, Browser]) -> None:
    daemon, ada = site
    bob = Browser(ada.port)
    assert [ada.get("/visit"), ada.get("/visit"), bob.get("/visit")] == ["1 ", "2 ", "1 "]
    assert ada.get("/enter") == "entered"
    assert ada.get("/visit") == "3 ada"
    assert [ada.get("/slow"), bob.get("/slow")] == ["made 1", "made 1"]

    with redis.Redis(port=daemon.port, db=1) as r:
        keys = r.keys()
        assert len(keys) == 2
        assert all(key.startswith(b"site:1:django.contrib.sessions.cache") for key in keys), keys
        assert all(0 < r.ttl(key) <= 14 * 24 * 3600 for key in keys)

    daemon.stop()
    daemon.start()
    assert ada.get("/visit") == "4 ada"
    assert bob.get("/visit") == "2 "
    assert bob.get("/slow") == "made 1"
    assert ada.get("/leave") == "left"
    assert ada.get("/visit") == "1 "


def test_every_call_of_the_cache(site: tuple[Daemon, Browser]) -> None:
    daemon, visitor = site
    assert json.loads(visitor.get("/fill")) == {
        "cleared": True,
        "get": [{"list": [1, 2.5, None]}, None, "default"],
        "add": [True, False, 1],
        "incr": [42, 40],
        "many": [[], {"a": 1, "b": "two"}],
        "touch": [True, False],
        "delete": [True, False, None, False],
        "get_or_set": ["once", "once"],
        "version": [None, None, "new"],
        "other": [None, None, 1],
        "refused": True,
    }
    daemon.kill()
    daemon.start()
    assert json.loads(visitor.get("/look")) == {
        "text": "ü" * 1000,
        "object": {"list": [1, 2.5, None]},
        "once": 40,
        "made": "once",
        "mine": 1,
    }
    with redis.Redis(port=daemon.port, db=1) as r:
        assert 900 < r.ttl("site:1:text") <= 1000
        assert r.ttl("site:1:object") == -1
