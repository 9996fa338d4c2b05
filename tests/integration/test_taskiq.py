"""taskiq on a stream: its consumer group, results, and entries that it claims from a consumer that is gone.

It sends a lock's script, XAUTOCLAIM and the release in one transaction.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.daemon import DEADLINE_S, wait_until
from tests.integration.programs import Worker

APP = "tests.integration.taskiq_app"


@pytest.fixture
def app(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application, as a program that asks for tasks imports it."""
    pytest.importorskip("taskiq_redis")
    monkeypatch.setenv("KEYP_PORT", str(port))
    yield importlib.import_module(APP)
    del sys.modules[APP]


def test_tasks(port: int, app: Any, tmp_path: Path) -> None:
    async def use() -> None:
        await app.broker.startup()
        results = [await app.double.kiq(number) for number in range(5)]
        taken = r.xreadgroup("taskiq", "gone", {"taskiq": ">"}, count=2)
        assert len(taken[0][1]) == 2
        with Worker(command, tmp_path):
            answers = [await results[number].wait_result(timeout=20) for number in (2, 3, 4)]
            assert [answer.return_value for answer in answers] == [4, 6, 8]
            failed = await (await app.fail.kiq()).wait_result(timeout=20)
            assert failed.is_err
            assert isinstance(failed.error, ValueError)
            # Entries are claimed behind new ones, once they have been idle for long enough.
            async with asyncio.timeout(DEADLINE_S):
                while not all([await result.is_ready() for result in results]):
                    await (await app.double.kiq(0)).wait_result(timeout=20)
            assert [(await result.get_result()).return_value for result in results] == [0, 2, 4, 6, 8]
            wait_until(lambda: r.xpending("taskiq", "taskiq")["pending"] == 0, "all entries are acknowledged")
            (group,) = r.xinfo_groups("taskiq")
            assert (group["lag"], group["entries-read"]) == (0, r.xlen("taskiq"))
        await app.broker.shutdown()

    command = [sys.executable, "-m", "taskiq", "worker", f"{APP}:broker", "--workers=1"]
    with redis.Redis(port=port) as r:
        asyncio.run(use())
