"""The power goes while a store is opened that a power cut has left, and while that is, and once more.

A start must come out where the first one would have come out. Starts are recorded as servers are (`restarts.py`).
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.crash.ledger import Key, State
from tests.crash.power_cut import ANY, MODELS, MOMENTS, Image, PowerCuts
from tests.crash.power_cutter import PowerCutter, differences
from tests.crash.recorder import MODES, Recorder, Story
from tests.crash.restarts import record_starts
from tests.integration.daemon import COMPILED

# How many images of a story are opened, how often the power is cut in each of these starts, and how often one of the
# images that follow is opened in the same way. Then there is a new story.
STARTS = 12
CUTS_IN_START = 5
DEPTH = 3
SHARE = 5  # one image in so many that are asked for
IMAGES_OF_STORY = STARTS * (1 + CUTS_IN_START * DEPTH)

SMALL_REPLAYS = "" if COMPILED else "small replays"

Opened = tuple[Image, dict[Key, State]]  # and what it holds


@pytest.mark.parametrize("mode", MODES)
def test_the_power_goes_again_while_a_store_is_opened(
    recorder: Recorder, seed: str, images: int, mode: str, tmp_path: Path
) -> None:
    """What the first start would have found, the last one finds."""
    with PowerCutter() as cutter:
        for number in range(-(-images // SHARE // IMAGES_OF_STORY)):
            random = Random(f"{seed}/again/{mode}/{number}")
            opened = first_images(cutter, recorder.record(mode), random)
            for depth in range(DEPTH):
                opened = cut_starts(cutter, opened, random, tmp_path / f"{number}-{depth}", f"start {depth + 1}")
            assert cutter.tally.failures == []
    print(f"\nfsync {mode}, in {DEPTH} starts one after the other: {cutter.tally}")


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
        cutter.judge(image, partial(differences, expected), model, f"{where}, cut at {cut}")
        cutter.tally.counts[where] += 1
    cutter.finish()
    return image
