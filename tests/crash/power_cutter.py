"""Makes images of what power cuts leave of a recorded server, reads them, and adds up what became of the stores."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from tests.crash import ledger
from tests.crash.image_reader import BACKED_UP, STARTED, Fate, ImageReader
from tests.crash.ledger import LOST, Key, Problem, State, Write
from tests.crash.power_cut import MODELS, MOMENTS, Image, write_image
from tests.crash.recorder import Story

# What becomes of a store: all is there; the last writes are missing; it says itself, when it is opened or when it is
# checked, that it is damaged; it holds what nobody wrote and does not say so; it ends the process that opens it.
WHOLE, LOSES, REFUSED, DAMAGED, WRONG, DEADLY = "whole", "loses", "refused", "damaged", "wrong", "deadly"

BACKUPS = 8  # of so many images one is opened from a backup that is made of it

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
        way = BACKED_UP if self._numbers % BACKUPS == 0 else STARTED
        self.tally.counts[way] += 1
        self._reader.begin(self.place / "image", way)
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
        cuts = story.cuts
        for number in range(images):
            near, model = moments[number % len(moments)], random.choice(models)
            cut = max(story.since, cuts.moment(random, near))
            promised = story.promised(cut)
            self.tally.compared(promised)
            image = cuts.image(cut, random, model)
            self.judge(image, partial(_problems, story, promised), model, f"cut at {cut} ({near})")
        return image, self.finish()


def _problems(story: Story, promised: set[Write], found: dict[Key, State]) -> list[Problem]:
    return story.ledger.problems(found, promised.__contains__)


def differences(expected: dict[Key, State], found: dict[Key, State]) -> list[Problem]:
    """A problem for each key that is not as expected."""
    different = sorted(key for key in {**expected, **found} if found.get(key) != expected.get(key))
    return [Problem(ledger.WRONG, f"{key} is not what it was", []) for key in different]
