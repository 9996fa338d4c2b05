"""The power goes at a random moment: nothing that a mode promises is missing, nothing is half there, the store opens.

A server's file writes and replies are recorded while clients write; from the recording come images of what the disk may
have held at many moments (`power_cut.py`). Each is opened as a server would open it, checked, read whole and compared
with the ledger: it must show the store as it was at one moment, not before what was promised.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.crash.clients import Groups
from tests.crash.ledger import Ledger
from tests.crash.power_cutter import PowerCutter
from tests.crash.recorder import CLIENTS, MODES, Recorder
from tests.integration.daemon import COMPILED

IMAGES_OF_ONE = 150  # then the server is started on one of them, and so on
LIVES = 4  # of one store


def portions(images: int) -> list[int]:
    """So many images as parts of which each is made from a recording of its own."""
    count = -(-images // IMAGES_OF_ONE)
    return [images // count + (number < images % count) for number in range(count)]


@pytest.mark.parametrize("mode", MODES)
def test_nothing_promised_is_lost(recorder: Recorder, seed: str, images: int, mode: str) -> None:
    """A store lives several times: each time a server starts on what the last power cut has left, and clients go on."""
    with PowerCutter() as cutter:
        for number, portion in enumerate(portions(images)):
            if number % LIVES == 0:
                ledger = Ledger()
                groups = [Groups(ledger, number) for number in range(CLIENTS)]
                image = None
            story, random = recorder.go_on(mode, ledger, groups, image), Random(f"{seed}/{mode}/{number}")
            image, found = cutter.cut(story, random, portion)
            assert cutter.tally.failures == []
            ledger.settle(found)
    print(f"\nfsync {mode}: {cutter.tally}")


def test_always_loses_nothing_from_the_moment_it_is_asked_for(recorder: Recorder, seed: str, images: int) -> None:
    with PowerCutter() as cutter:
        for number, portion in enumerate(portions(images // 10)):
            story = recorder.record("no", turn_to_always=True)
            cutter.cut(story, Random(f"{seed}/turn/{number}"), portion)
    print(f"\nfsync always, asked for while running: {cutter.tally}")
    assert cutter.tally.failures == []


def test_pieces_of_long_strings_are_there_with_their_key(recorder: Recorder, seed: str, images: int) -> None:
    if COMPILED:
        pytest.skip("compiled modules cannot be changed")
    with PowerCutter() as cutter:
        for mode in MODES:
            for number, portion in enumerate(portions(images // 15)):
                story = recorder.record(mode, change="much staged")
                cutter.cut(story, Random(f"{seed}/staged/{mode}/{number}"), portion)
    print(f"\nwith long strings: {cutter.tally}")
    assert cutter.tally.failures == []
