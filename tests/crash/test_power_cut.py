"""The power goes at a random moment: with `--fsync always` nothing that was answered is missing, nothing is half there.

A server's file writes and replies are recorded while clients write; from the recording come images of what the disk
may have held at many moments (`power_cut.py`). Each is opened as a server would open it, checked, read whole and
compared with the ledger of what had been answered by then. What `everysec` and `no` can lose or break on a disk that
reorders is counted and printed, not judged; on one that keeps the order, they too stay whole.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.crash.image_reader import Fate, ImageReader
from tests.crash.ledger import LOST, Problem, Write
from tests.crash.power_cut import PowerCuts, write_image
from tests.crash.recorder import Recorder, Story

IMAGES_OF_ONE = 150  # then a new recording is made

# Of images that may break, about one in three is whole; so many in a row are no chance.
FRUITLESS = 60

# With a sync each second: a second, the time of a sync, and what a busy machine adds to both.
SECONDS_LOST_MAX = 3.0

# What becomes of a store: all is there; the last writes are missing; it says itself, when it is opened or when it is
# checked, that it is damaged; it holds what nobody wrote and does not say so; it ends the process that opens it.
WHOLE, LOSES, REFUSED, DAMAGED, WRONG, DEADLY = "whole", "loses", "refused", "damaged", "wrong", "deadly"


class Tally:
    """What became of the images."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds_lost: list[float] = []
        self.failures: list[str] = []

    def add(self, fate: Fate, problems: list[Problem], seconds_lost: float, where: str) -> None:
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
            self.seconds_lost.append(seconds_lost)
        else:
            outcome = WHOLE
        self.counts[outcome] += 1
        self.counts["images"] += 1
        if outcome != WHOLE:
            self.failures.append(f"{where}: {outcome} {[fate.refused, *fate.problems[:3], *problems[:3]]}")

    def compared(self, answered: set[Write]) -> None:
        self.counts["answered writes compared"] += len(answered)
        self.counts["answered MULTIs compared"] += sum([write.commands > 1 for write in answered])

    def __str__(self) -> str:
        lost = sorted(self.seconds_lost)
        text = str(dict(self.counts))
        return f"{text}, seconds lost: median {lost[len(lost) // 2]:.2f}, most {lost[-1]:.2f}" if lost else text


def cut_power(story: Story, random: Random, images: int, directory: Path, tally: Tally, ordered: bool = False) -> None:
    """Makes images of a story, reads them and adds up what became of them."""
    recording, left = story.recording, story.left
    cuts = PowerCuts(recording)
    place = directory / "image"
    with ImageReader() as reader:
        for number in range(images):
            cut = max(story.since, cuts.moment(random))
            answered = {write for write, call in left.items() if call.begin <= cut}
            write_image(cuts.image(cut, random, ordered), place)
            fate = reader.read(place)
            shutil.rmtree(place)
            unread = bool(fate.refused or fate.problems)
            problems = [] if unread else story.ledger.problems(fate.found, answered.__contains__)
            lost = [left[write].at for problem in problems for write in problem.lost if write in answered]
            tally.add(fate, problems, recording.time(cut) - min(lost, default=0), f"image {number}, cut at {cut}")
            tally.compared(answered)


def portions(images: int) -> list[int]:
    """So many images as parts of which each is made from a recording of its own."""
    count = -(-images // IMAGES_OF_ONE)
    return [images // count + (number < images % count) for number in range(count)]


def test_always_loses_nothing(recorder: Recorder, tmp_path: Path, seed: str, images: int) -> None:
    tally = Tally()
    for number, portion in enumerate(portions(images * 6 // 10)):
        cut_power(recorder.record("always"), Random(f"{seed}/{number}"), portion, tmp_path, tally)
    print(f"\nfsync always: {tally}")
    assert tally.failures == []


def test_always_loses_nothing_from_the_moment_it_is_asked_for(
    recorder: Recorder, tmp_path: Path, seed: str, images: int
) -> None:
    tally = Tally()
    for number, portion in enumerate(portions(images // 10)):
        story = recorder.record("no", turn_to_always=True)
        cut_power(story, Random(f"{seed}/turn/{number}"), portion, tmp_path, tally)
    print(f"\nfsync always, asked for while running: {tally}")
    assert tally.failures == []


@pytest.mark.parametrize("mode", ["everysec", "no"])
def test_what_the_others_lose(recorder: Recorder, tmp_path: Path, seed: str, images: int, mode: str) -> None:
    """On a disk that keeps writes in order they stay whole; on one that does not the store may need its backup."""
    in_order, in_any_order = Tally(), Tally()
    for number, portion in enumerate(portions(images * 3 // 20)):
        story, random = recorder.record(mode), Random(f"{seed}/{mode}/{number}")
        cut_power(story, random, portion // 3, tmp_path, in_order, ordered=True)
        cut_power(story, random, portion - portion // 3, tmp_path, in_any_order)
    while not in_any_order.failures and in_any_order.counts["images"] < images + FRUITLESS:
        cut_power(story, random, 8, tmp_path, in_any_order)  # a few images may all be whole by chance
    print(f"\nfsync {mode}, writes in order: {in_order}")
    print(f"fsync {mode}, writes in any order: {in_any_order}")
    assert [failure for failure in in_order.failures if f": {LOSES} " not in failure] == []
    assert in_any_order.failures, "the simulator finds nothing wrong where nothing is synced"
    if mode == "everysec":
        assert max(in_order.seconds_lost, default=0) < SECONDS_LOST_MAX


def test_the_simulator_sees_a_server_that_does_not_wait_for_the_disk(
    recorder: Recorder, tmp_path: Path, seed: str
) -> None:
    story = recorder.record("always")
    for file in story.recording.files():
        file.syncs.clear()
        for write in file.writes:
            write.synced = False
    tally = Tally()
    cut_power(story, Random(seed), 12, tmp_path, tally)
    assert len(tally.failures) >= 3
