"""The simulator of power cuts must notice each thing that the order of writing would be wrong without.

These are servers that leave one out (`changed_server.py`). Two omissions are in `tests/storage/test_left_out.py`.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.crash.power_cut import ANY, CHECKPOINTS, GARBAGE, MODELS, SYNCS
from tests.crash.power_cutter import PowerCutter
from tests.crash.recorder import Recorder
from tests.integration.daemon import COMPILED

PATIENCE = 300  # images that are looked at before an omission counts as unnoticed

# What is left out, when that matters, and on which disks.
OMISSIONS = [
    ("no pin", CHECKPOINTS, MODELS),
    ("slot first", ANY, MODELS),
    ("late position", ANY, MODELS),
    ("no ring sync", ANY, MODELS),
    ("unaligned", SYNCS, (GARBAGE,)),
    ("one meta page", ANY, MODELS),
    ("no meta page", ANY, MODELS),
]


@pytest.mark.skipif(COMPILED, reason="compiled modules cannot be changed")
@pytest.mark.parametrize(("change", "moment", "models"), OMISSIONS)
def test_the_simulator_notices_what_is_left_out(
    recorder: Recorder, seed: str, change: str, moment: str, models: tuple[str, ...]
) -> None:
    with PowerCutter(change) as cutter:
        story, random = recorder.record("always", change=change, kilobytes=256), Random(f"{seed}/{change}")
        while not cutter.tally.failures and cutter.tally.counts["images"] < PATIENCE:
            cutter.cut(story, random, 10, (moment,), models)
    print(f"\n{change}: {cutter.tally} {cutter.tally.failures[0] if cutter.tally.failures else ''}")
    assert cutter.tally.failures
