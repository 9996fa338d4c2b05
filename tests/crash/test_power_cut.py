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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.crash.clients import Groups
from tests.crash.image_reader import Fate, ImageReader
from tests.crash.ledger import LOST, Key, Ledger, Problem, State, Write
from tests.crash.power_cut import (
    ANY,
    CHECKPOINTS,
    GARBAGE,
    MODELS,
    MOMENTS,
    SYNCS,
    Image,
    PowerCuts,
    write_image,
)
from tests.crash.recorder import CLIENTS, Recorder, Story
from tests.crash.restarts import record_starts
from tests.integration.daemon import COMPILED

MODES = ("always", "everysec", "no")
SMALL_REPLAYS = "" if COMPILED else "small replays"

IMAGES_OF_ONE = 150  # then the server is started on one of them, and so on
LIVES = 4  # of one store

# Images that are opened under the simulator's eyes, how often the power is cut in each of these starts, and how often
# one of the images that follow is opened in the same way.
STARTS = 12
CUTS_IN_START = 5
DEPTH = 3

# How many images of a server that leaves something out are looked at before it counts as unnoticed.
PATIENCE = 300

# What becomes of a store: all is there; the last writes are missing; it says itself, when it is opened or when it is
# checked, that it is damaged; it holds what nobody wrote and does not say so; it ends the process that opens it.
WHOLE, LOSES, REFUSED, DAMAGED, WRONG, DEADLY = "whole", "loses", "refused", "damaged", "wrong", "deadly"


FindProblems = Callable[[dict[Key, State]], list[Problem]]


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

    def compared(self, promised: set[Write]) -> None:
        self.counts["answered writes compared"] += len(promised)
        self.counts["answered MULTIs compared"] += sum([write.commands > 1 for write in promised])

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
        self._reading: tuple[FindProblems, str, str] | None = None
        self._numbers = 0

    def __enter__(self) -> PowerCutter:
        self._reader.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.__exit__()
        shutil.rmtree(self.place)

    def judge(self, image: Image, find_problems: FindProblems, model: str, where: str) -> None:
        """Adds an image; while it is read, the next one may be made."""
        self.finish()
        self._numbers += 1
        write_image(image, self.place / "image")
        self._reader.begin(self.place / "image")
        self._reading = find_problems, model, where

    def finish(self) -> dict[Key, State]:
        """Judges the last image that was added; what it holds."""
        if self._reading is None:
            return {}
        (find_problems, model, where), self._reading = self._reading, None
        fate = self._reader.fate()
        shutil.rmtree(self.place / "image")
        problems = [] if fate.refused or fate.problems else find_problems(fate.found)
        self.tally.add(fate, problems, model, f"image {self._numbers}, {where}")
        return fate.found

    def cut(
        self,
        story: Story,
        random: Random,
        images: int,
        moments: tuple[str, ...] = MOMENTS,
        models: tuple[str, ...] = MODELS,
    ) -> tuple[Image, dict[Key, State]]:
        """Judges so many images of a story: at the moments in turn, and on the kinds of disks. The last one."""
        cuts = PowerCuts(story.recording)
        for number in range(images):
            near, model = moments[number % len(moments)], random.choice(models)
            cut = max(story.since, cuts.moment(random, near))
            promised = story.promised(cut)
            self.tally.compared(promised)
            image = cuts.image(cut, random, model)
            self.judge(image, partial(_problems, story.ledger, promised), model, f"cut at {cut} ({near})")
        return image, self.finish()


def _problems(ledger: Ledger, promised: set[Write], found: dict[Key, State]) -> list[Problem]:
    return ledger.problems(found, promised.__contains__)


def _differences(expected: dict[Key, State], found: dict[Key, State]) -> list[Problem]:
    different = sorted(key for key in {**expected, **found} if found.get(key) != expected.get(key))
    return [Problem(WRONG, f"{key} is not what it was", []) for key in different]


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


@pytest.mark.parametrize("mode", MODES)
def test_the_power_goes_again_while_a_store_is_opened(
    recorder: Recorder, seed: str, images: int, mode: str, tmp_path: Path
) -> None:
    """What the first start would have found, the last one finds."""
    with PowerCutter() as cutter:
        for round in range(-(-images // IMAGES_OF_ONE // LIVES)):
            random = Random(f"{seed}/again/{mode}/{round}")
            opened = first_images(cutter, recorder.record(mode), random)
            for depth in range(DEPTH):
                opened = cut_starts(cutter, opened, random, tmp_path / f"{round}-{depth}", f"start {depth + 1}")
            assert cutter.tally.failures == []
    print(f"\nfsync {mode}, in {DEPTH} starts one after the other: {cutter.tally}")


Opened = tuple[Image, dict[Key, State]]  # and what it holds


def first_images(cutter: PowerCutter, story: Story, random: Random) -> list[Opened]:
    """Images of a story."""
    return [cutter.cut(story, random, 1, (random.choice(MOMENTS),)) for _ in range(STARTS)]


def cut_starts(cutter: PowerCutter, opened: list[Opened], random: Random, place: Path, where: str) -> list[Opened]:
    """Starts on images, and the power is cut in each start: one image of each."""
    recordings = record_starts([image for image, _ in opened], place, random, SMALL_REPLAYS)
    shutil.rmtree(place)
    return [
        (cut_start(cutter, PowerCuts(recording), expected, random, where), expected)
        for recording, (_, expected) in zip(recordings, opened, strict=True)
    ]


def cut_start(cutter: PowerCutter, cuts: PowerCuts, expected: dict[Key, State], random: Random, where: str) -> Image:
    """Judges images of a start that finds `expected`; one of them."""
    for _ in range(CUTS_IN_START):
        cut, model = cuts.moment(random, ANY), random.choice(MODELS)
        image = cuts.image(cut, random, model)
        cutter.judge(image, partial(_differences, expected), model, f"{where}, cut at {cut}")
        cutter.tally.counts[where] += 1
    cutter.finish()
    return image


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
            for number, portion in enumerate(portions(images // 10)):
                story = recorder.record(mode, change="much staged")
                cutter.cut(story, Random(f"{seed}/staged/{mode}/{number}"), portion)
    print(f"\nwith long strings: {cutter.tally}")
    assert cutter.tally.failures == []


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
        story, random = recorder.record("always", change=change), Random(f"{seed}/{change}")
        while not cutter.tally.failures and cutter.tally.counts["images"] < PATIENCE:
            cutter.cut(story, random, 10, (moment,), models)
    print(f"\n{change}: {cutter.tally} {cutter.tally.failures[0] if cutter.tally.failures else ''}")
    assert cutter.tally.failures
