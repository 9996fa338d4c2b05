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

from tests.crash import trace
from tests.crash.clients import Groups, ask, write_for
from tests.crash.image_reader import Fate, ImageReader
from tests.crash.ledger import LOST, Ledger, Problem, Write
from tests.crash.power_cut import PowerCuts, write_image
from tests.crash.trace import Recording
from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S

CLIENTS = 3
BATCHES = 30
PAUSE_S = 0.04  # in the modes that do not wait for the disk
IMAGES_OF_ONE = 150  # then a new recording is made

WHOLE, LOSES, DAMAGED, REFUSED = "whole", "loses", "damaged", "refused"


class Story:
    """A server's life under several clients, told twice: by the trace and by the ledger."""

    def __init__(self, recording: Recording, ledger: Ledger, since: int = 0) -> None:
        self.recording = recording
        self.ledger = ledger
        self.since = since  # the moment from which on answers are promises


class Recorder:
    """Records servers that run one after the other."""

    def __init__(self, server: StartServer, directory: Path, seed: str) -> None:
        self._server = server
        self._directory = directory
        self._seed = seed
        self._count = 0

    def record(self, mode: str, turn_to_always: bool = False) -> Story:
        """A server with `--fsync mode`; with `turn_to_always` that is what it is told when half is written."""
        self._count += 1
        path = self._directory / f"trace{self._count}"
        daemon = self._server(f"--fsync={mode}", launcher=trace.launcher(path))
        ledger = Ledger()
        groups = [Groups(ledger, number) for number in range(CLIENTS)]
        halves = [1, 2] if turn_to_always else [1]
        for half in halves:
            if half == 2:
                turned = ask(daemon.port, [(b"ECHO", b"turn"), (b"CONFIG", b"SET", b"appendfsync", b"always")])
                assert turned[1] == "OK"
                groups = [Groups(ledger, number) for number in range(CLIENTS, 2 * CLIENTS)]
            write_for(
                daemon.port, groups, f"{self._seed}/{self._count}/{half}", DEADLINE_S, BATCHES,
                0 if mode == "always" else PAUSE_S,
            )  # fmt: skip
        daemon.stop()
        recording = trace.read(path, daemon.data_dir)
        path.unlink()
        since = recording.connections[b"turn"].calls[-1].begin if turn_to_always else 0
        return Story(recording, ledger, since)


@pytest.fixture
def recorder(server: StartServer, tmp_path: Path, seed: str) -> Recorder:
    return Recorder(server, tmp_path, seed)


class Tally:
    """What became of the images."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds_lost: list[float] = []
        self.failures: list[str] = []

    def add(self, fate: Fate, problems: list[Problem], seconds_lost: float, where: str) -> None:
        if fate.refused:
            outcome = REFUSED
        elif fate.problems or any(problem.kind != LOST for problem in problems):
            outcome = DAMAGED
        elif problems:
            outcome = LOSES
            self.seconds_lost.append(seconds_lost)
        else:
            outcome = WHOLE
        self.counts[outcome] += 1
        self.counts["images"] += 1
        if outcome != WHOLE:
            self.failures.append(f"{where}: {outcome} {[fate.refused, *fate.problems[:3], *problems[:3]]}")

    def __str__(self) -> str:
        lost = sorted(self.seconds_lost)
        text = str(dict(self.counts))
        return f"{text}, seconds lost: median {lost[len(lost) // 2]:.2f}, most {lost[-1]:.2f}" if lost else text


def cut_power(story: Story, random: Random, images: int, directory: Path, tally: Tally, ordered: bool = False) -> None:
    """Makes images of a story, reads them and adds up what became of them."""
    recording = story.recording
    cuts = PowerCuts(recording)
    left = {
        write: recording.connections[write.connection].left(write.reply_end).begin
        for write in story.ledger.writes()
        if write.acknowledged
    }
    with ImageReader() as reader:
        for number in range(images):
            cut = max(story.since, cuts.moment(random))

            def was_answered(write: Write, cut: int = cut) -> bool:
                return write in left and left[write] <= cut

            place = directory / "image"
            write_image(cuts.image(cut, random, ordered), place)
            fate = reader.read(place)
            unread = bool(fate.refused or fate.problems)
            problems = [] if unread else story.ledger.problems(fate.found, was_answered)
            lost = [recording.time(left[write]) for problem in problems for write in problem.lost if write in left]
            tally.add(fate, problems, recording.time(cut) - min(lost, default=0), f"image {number}, cut at {cut}")
            answered = [write for write in left if left[write] <= cut]
            tally.counts["answered writes compared"] += len(answered)
            tally.counts["answered MULTIs compared"] += sum([write.commands > 1 for write in answered])
            shutil.rmtree(place)


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
def test_the_others_stay_whole_on_a_disk_that_keeps_the_order(
    recorder: Recorder, tmp_path: Path, seed: str, images: int, mode: str
) -> None:
    tally = Tally()
    for number, portion in enumerate(portions(images // 20)):
        story = recorder.record(mode)
        cut_power(story, Random(f"{seed}/ordered/{number}"), portion, tmp_path, tally, ordered=True)
    print(f"\nfsync {mode}, writes in order: {tally}")
    assert tally.counts[DAMAGED] == 0, tally.failures
    assert tally.counts[REFUSED] == 0, tally.failures
    assert mode == "no" or max(tally.seconds_lost, default=0) < 2.5


@pytest.mark.parametrize("mode", ["everysec", "no"])
def test_what_the_others_lose_on_a_disk_that_does_not(
    recorder: Recorder, tmp_path: Path, seed: str, images: int, mode: str
) -> None:
    tally = Tally()
    for number, portion in enumerate(portions(images // 10)):
        cut_power(recorder.record(mode), Random(f"{seed}/{mode}/{number}"), portion, tmp_path, tally)
    print(f"\nfsync {mode}, writes in any order: {tally}")
    assert tally.failures, "the simulator finds nothing wrong where nothing is synced"


def test_the_simulator_sees_a_server_that_does_not_wait_for_the_disk(
    recorder: Recorder, tmp_path: Path, seed: str
) -> None:
    story = recorder.record("always")
    for file in story.recording.files():
        file.syncs.clear()
        for write in file.writes:
            write.synced = False
    tally = Tally()
    cut_power(story, Random(seed), 10, tmp_path, tally)
    assert len(tally.failures) >= 3
