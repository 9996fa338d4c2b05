"""Clients and programs people use, with user and password, with TLS, and with both.

Each connects, sets and gets, listens, waits for a list, and is told when its password is no longer good.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.retry
import valkey
import valkey.asyncio
import valkey.asyncio.retry
from redis.backoff import NoBackoff

from tests.integration.certificates import Authority
from tests.integration.conftest import NEVER_AGAIN
from tests.integration.daemon import DEADLINE_S, LONG, Daemon, free_port
from tests.integration.node import fetch, program
from tests.integration.programs import finish, service
from tests.integration.test_redis_cli import run

HERE = Path(__file__).parent
USERS = "user default off\nuser admin on >secret ~* &* +@all\nuser ann on >pass:word@x ~* &* +@all\n"
PASSWORD = "pass:word@x"
QUOTED = "pass%3Aword%40x"


class Site:
    """A daemon with users, and a port for TLS beside the plain one. Clients need a certificate if they have one."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        certificate, key = self.authority.sign("server")
        self.certificate, self.key = self.authority.sign("client")
        users = directory / "users.acl"
        users.write_text(USERS)
        users.chmod(0o600)
        self.tls_port = free_port()
        self.daemon = Daemon(
            directory,
            f"--aclfile={users}",
            f"--tls-port={self.tls_port}",
            f"--tls-cert-file={certificate}",
            f"--tls-key-file={key}",
            f"--tls-ca-cert-file={self.authority.path}",
            "--tls-auth-clients=optional",
            "--fsync=no",
        )

    def port(self, has_tls: bool) -> int:
        return self.tls_port if has_tls else self.daemon.port

    def options(self, has_tls: bool, password: str = PASSWORD) -> dict[str, Any]:
        """What redis-py and valkey-py are told."""
        options: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port(has_tls),
            "username": "ann",
            "password": password,
            "decode_responses": True,
            "socket_timeout": DEADLINE_S,
        }
        if has_tls:
            options |= {"ssl": True, "ssl_ca_certs": str(self.authority.path)}
            options |= {"ssl_certfile": str(self.certificate), "ssl_keyfile": str(self.key)}
        return options

    def url(self, has_tls: bool, database: int = 0) -> str:
        """What programs are told."""
        address = f"ann:{QUOTED}@127.0.0.1:{self.port(has_tls)}/{database}"
        if not has_tls:
            return f"redis://{address}"
        return f"rediss://{address}?ssl_cert_reqs=required&ssl_ca_certs={self.authority.path}"

    def admin(self) -> redis.Redis:
        return redis.Redis(port=self.daemon.port, username="admin", password="secret", decode_responses=True)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("secure"))
    site.daemon.start()
    try:
        yield site
        site.daemon.stop()
    finally:
        if site.daemon.running:
            site.daemon.kill()
    site.daemon.check()
    assert PASSWORD not in site.daemon.log()


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """The module's site, empty, and with ann's password as it was."""
    with running.admin() as admin:
        admin.flushall()
        yield running
        admin.acl_setuser("ann", enabled=True, passwords=[f"+{PASSWORD}"], reset_passwords=True)


@pytest.fixture(params=[False, True], ids=["plain", "TLS"])
def has_tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("library", [redis, valkey], ids=["redis-py", "valkey-py"])
@pytest.mark.parametrize("protocol", [2, 3])
def test_in_python(site: Site, has_tls: bool, library: Any, protocol: int) -> None:
    maker = library.Redis if library is redis else library.Valkey
    client = maker(**site.options(has_tls), protocol=protocol)
    assert client.set("k", "v" * 100_000)
    assert client.get("k") == "v" * 100_000
    assert client.acl_whoami() == "ann"
    with client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("c")
        assert listener.get_message(timeout=DEADLINE_S) is None
        assert client.publish("c", "hello") == 1
        assert listener.get_message(timeout=DEADLINE_S)["data"] == "hello"
    assert client.blpop(["l"], 0.01) is None
    assert client.rpush("l", "a") == 1
    assert tuple(client.blpop(["l"], 1)) == ("l", "a")
    with site.admin() as admin:
        admin.client_kill_filter(user="ann")
    with suppress(valkey.ConnectionError):
        client.get("k")  # valkey-py tells that it is gone, redis-py tries again
    assert client.get("k") == "v" * 100_000
    wrong = maker(**site.options(has_tls, "wrong"), protocol=protocol, retry=None if library is valkey else NEVER_AGAIN)
    with pytest.raises(library.AuthenticationError, match="invalid username-password pair"):
        wrong.ping()
    client.close()
    wrong.close()


@pytest.mark.parametrize("library", [redis.asyncio, valkey.asyncio], ids=["redis-py", "valkey-py"])
def test_in_asyncio(site: Site, has_tls: bool, library: Any) -> None:
    maker = library.Redis if library is redis.asyncio else library.Valkey

    async def talk() -> None:
        client = maker(**site.options(has_tls), retry=library.retry.Retry(NoBackoff(), 0))
        assert await client.set("k", "v" * 100_000)
        assert await client.get("k") == "v" * 100_000
        async with client.pubsub(ignore_subscribe_messages=True) as listener:
            await listener.subscribe("c")
            assert await listener.get_message(timeout=DEADLINE_S) is None
            assert await client.publish("c", "hello") == 1
            message = await listener.get_message(timeout=DEADLINE_S)
            assert message["data"] == "hello"
        waiting = asyncio.create_task(client.blpop(["l"], 10))
        async with maker(**site.options(has_tls)) as other:
            await other.rpush("l", "a")
        assert tuple(await waiting) == ("l", "a")
        with site.admin() as admin:
            admin.acl_setuser("ann", enabled=True, passwords=["+another"], reset_passwords=True)
            admin.client_kill_filter(user="ann")
        with suppress(redis.ConnectionError, valkey.ConnectionError):
            await client.get("k")
        with pytest.raises((redis.AuthenticationError, valkey.AuthenticationError)):
            await client.get("k")
        await client.aclose()

    asyncio.run(asyncio.wait_for(talk(), DEADLINE_S))


def test_redis_cli(site: Site, has_tls: bool) -> None:
    words = ["-h", "127.0.0.1", "-p", str(site.port(has_tls)), "--no-auth-warning"]
    if has_tls:
        words += ["--tls", "--cacert", str(site.authority.path)]
    named = [*words, "--user", "ann", "--pass", PASSWORD]
    assert run(site.daemon, *named, "SET", "k", "v", tcp=False) == "OK\n"
    assert run(site.daemon, *named, "-3", "GET", "k", tcp=False) == "v\n"
    url = f"{'rediss' if has_tls else 'redis'}://ann:{QUOTED}@127.0.0.1:{site.port(has_tls)}"
    assert run(site.daemon, *words, "-u", url, "ACL", "WHOAMI", tcp=False) == "ann\n"
    assert "WRONGPASS" in run(site.daemon, *words, "--user", "ann", "--pass", "no", "PING", tcp=False)


def test_txredisapi(site: Site, has_tls: bool) -> None:
    words = [str(site.port(has_tls)), "ann", PASSWORD, *([str(site.authority.path)] if has_tls else [])]
    command = [sys.executable, str(HERE / "txredisapi_secure_scenario.py"), *words]
    assert finish(command, site.daemon.directory) == "done\n"


def test_celery(site: Site, has_tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(HERE / "celery_app.py", site.daemon.directory)
    monkeypatch.setenv("KEYP_URLS", json.dumps([site.url(has_tls, 2), site.url(has_tls, 1)]))
    monkeypatch.syspath_prepend(str(site.daemon.directory))
    monkeypatch.chdir(site.daemon.directory)
    module = importlib.import_module("celery_app")
    command = [sys.executable, "-m", "celery", "--app", "celery_app", "worker", "--pool=solo", "--loglevel=INFO"]
    try:
        with service("worker", command, site.daemon.directory):
            assert module.add.delay(2, 3).get(timeout=DEADLINE_S) == 5
    finally:
        module.app.close()
        del sys.modules["celery_app"]


CACHE = """
import sys
from django.conf import settings
settings.configure(CACHES={"default": {"BACKEND": sys.argv[1], "LOCATION": sys.argv[2]}})
from django.core.cache import cache
cache.set("k", {"a": [1, 2]}, timeout=100)
print(cache.get("k"), cache.incr("n") if cache.add("n", 1) else 0)
"""


@pytest.mark.parametrize("backend", ["django.core.cache.backends.redis.RedisCache", "django_redis.cache.RedisCache"])
def test_djangos_cache(site: Site, has_tls: bool, backend: str) -> None:
    command = [sys.executable, "-c", CACHE, backend, site.url(has_tls, 3)]
    assert finish(command, site.daemon.directory) == "{'a': [1, 2]} 2\n"
    with site.admin() as admin:
        admin.acl_setuser("ann", enabled=True, passwords=["+another"], reset_passwords=True)
    with pytest.raises(AssertionError, match="AuthenticationError"):
        finish(command, site.daemon.directory)


@pytest.mark.skipif(not LONG, reason="fetches packages from npm: only with KEYP_LONG=1")
def test_node_clients(site: Site, has_tls: bool, tmp_path: Path) -> None:
    """ioredis and node-redis."""
    fetch(tmp_path, "ioredis", "redis")
    shutil.copy(HERE / "node_secure_scenario.js", tmp_path)
    words = [str(site.port(has_tls)), "ann", PASSWORD, *([str(site.authority.path)] if has_tls else [])]
    assert finish([program("node"), str(tmp_path / "node_secure_scenario.js"), *words], tmp_path) == "done\n"
