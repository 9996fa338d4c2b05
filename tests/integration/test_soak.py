"""The soak in short: everything it does, for long enough that each part has happened. `make soak` is the long form."""

from __future__ import annotations

import os

from tests.integration.conftest import StartServer
from tests.soak.ledger import GONE, Ledger, State, Tally, now_ms
from tests.soak.soak import soak

SECONDS = float(os.environ.get("KEYP_SOAK_SECONDS", "4"))


def test_a_mixed_load_loses_nothing(server: StartServer) -> None:
    result = soak(server(), SECONDS)
    assert result.problems == [], result.report()
    counts = result.tally.counts
    assert min(counts[what] for what in ("CLIENT KILL", "FLUSHDB", "scans", "transaction", "keys set to die")) > 0
    assert counts["keys verified after the kill"] > 100
    assert counts["left without reading"] + counts["read late"] > 0


def test_a_ledger_sees_what_is_lost() -> None:
    ledger = Ledger(Tally())
    ledger.settle({"k": State(b"new")})
    ledger.see("k", b"new", now_ms())
    assert ledger.tally.errors == []
    ledger.see("k", b"old", now_ms())
    ledger.see("k", None, now_ms())
    assert len(ledger.tally.errors) == 2


def test_a_write_in_doubt_may_have_happened_until_a_read_tells() -> None:
    ledger = Ledger(Tally())
    ledger.begin({"k": State(b"v")})
    assert ledger.known("k") is None
    ledger.see("k", None, now_ms())
    assert ledger.known("k") == GONE
    ledger.see("k", b"v", now_ms())
    assert len(ledger.tally.errors) == 1


def test_a_deadline_that_passes_leaves_both_open_only_meanwhile() -> None:
    state = State(b"v", 1000)
    assert [state.may_be(b"v", *moments) for moments in ((900, 1000), (900, 1001), (1001, 1002))] == [True, True, False]
    assert [state.may_be(None, *moments) for moments in ((900, 1000), (900, 1001), (1001, 1002))] == [False, True, True]
