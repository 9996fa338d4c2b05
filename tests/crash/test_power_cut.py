"""The power goes at a random moment: nothing that a mode promises is missing, nothing is half there, the store opens.

A server's file writes and replies are recorded while clients write; from the recording come images of what the disk may
have held at many moments (`power_cut.py`). Each is opened as a server would open it, checked, read whole and compared
with the ledger: it must show the store as it was at one moment, not before what was promised.

The power goes again while such an image is opened, and while that one is. And the simulator must notice each thing that
the order of writing would be wrong without: servers that leave one out (`changed_server.py`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.crash.image_reader import Fate, ImageReader
from tests.crash.ledger import LOST, Problem, Write
from tests.crash.power_cut import MODELS, Image, PowerCuts, write_image
from tests.crash.recorder import Recorder, Story

MODES = ("always", "everysec", "no")
IMAGES_OF_ONE = 150  # then a new recording is made

# How many images of a server that leaves something out are looked at before it counts as unnoticed.
PATIENCE = 300

# What becomes of a store: all is there; the last writes are missing; it says itself, when it is opened or when it is
# checked, that it is damaged; it holds what nobody wrote and does not say so; it ends the process that opens it.
WHOLE, LOSES, REFUSED, DAMAGED, WRONG, DEADLY = "whole", "loses", "refused", "damaged", "wrong", "deadly"


class Tally:
    """What became of the images."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def add(self, fate: Fate, problems: list[Problem], model: str, where: str) -> None:
        if fate.died:
            outcome = DEADLY
        elif fate.refused:
            outcome = REFUSED
        elif fate.problems:
            outcome = DAMAGED
        elif any(problem.kind != LOST for problem in problems):
            outcome = WRONG
        elif problems:
            outcome = LOSES
        else:
            outcome = WHOLE
        self.counts[outcome] += 1
        self.counts["images"] += 1
        self.counts[model] += 1
        if outcome != WHOLE:
            self.failures.append(f"{where}, {model}: {outcome} {[fate.refused, *fate.problems[:3], *problems[:3]]}")

    def __str__(self) -> str:
        return str(dict(self.counts))


class PowerCutter:
    """Makes images, reads them and adds up what became of them. A context.

    The images are not kept on a disk where that can be helped: that they are on one is only pretended.
    """

    def __init__(self, change: str = "") -> None:
        memory = Path("/dev/shm")
        self.place = Path(tempfile.mkdtemp(prefix="keyp-power-cut-", dir=memory if memory.is_dir() else None))
        self.tally = Tally()
        self._reader = ImageReader(change)
        self._reading: tuple[Story, set[Write], str, str] | None = None
        self._numbers = 0

    def __enter__(self) -> PowerCutter:
        self._reader.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.__exit__()
        shutil.rmtree(self.place)

    def judge(self, story: Story, promised: set[Write], image: Image, model: str, where: str) -> None:
        """Adds an image; while it is read, the next one may be made."""
        self.finish()
        self._numbers += 1
        write_image(image, self.place / "image")
        self._reader.begin(self.place / "image")
        self._reading = story, promised, model, where

    def finish(self) -> Fate | None:
        """Judges the last image that was added; its fate."""
        if self._reading is None:
            return None
        (story, promised, model, where), self._reading = self._reading, None
        fate = self._reader.fate()
        shutil.rmtree(self.place / "image")
        unread = bool(fate.refused or fate.problems)
        problems = [] if unread else story.ledger.problems(fate.found, promised.__contains__)
        self.tally.add(fate, problems, model, f"image {self._numbers}, {where}")
        self.tally.counts["answered writes compared"] += len(promised)
        self.tally.counts["answered MULTIs compared"] += sum([write.commands > 1 for write in promised])
        return fate

    def cut(self, story: Story, random: Random, images: int, models: tuple[str, ...] = MODELS) -> None:
        """Judges so many images of a story."""
        cuts = PowerCuts(story.recording)
        for number in range(images):
            cut, model = max(story.since, cuts.moment(random)), models[number % len(models)]
            self.judge(story, story.promised(cut), cuts.image(cut, random, model), model, f"cut at {cut}")
        self.finish()


def portions(images: int) -> list[int]:
    """So many images as parts of which each is made from a recording of its own."""
    count = -(-images // IMAGES_OF_ONE)
    return [images // count + (number < images % count) for number in range(count)]


@pytest.mark.parametrize("mode", MODES)
def test_nothing_promised_is_lost(recorder: Recorder, seed: str, images: int, mode: str) -> None:
    with PowerCutter() as cutter:
        for number, portion in enumerate(portions(images)):
            cutter.cut(recorder.record(mode), Random(f"{seed}/{mode}/{number}"), portion)
    print(f"\nfsync {mode}: {cutter.tally}")
    assert cutter.tally.failures == []


def test_always_loses_nothing_from_the_moment_it_is_asked_for(recorder: Recorder, seed: str, images: int) -> None:
    with PowerCutter() as cutter:
        for number, portion in enumerate(portions(images // 10)):
            story = recorder.record("no", turn_to_always=True)
            cutter.cut(story, Random(f"{seed}/turn/{number}"), portion)
    print(f"\nfsync always, asked for while running: {cutter.tally}")
    assert cutter.tally.failures == []
