"""With `--fsync always` no reply leaves before what it promises is on the disk.

Read from a trace of the real server. Every value has a mark of its own, so the trace itself shows which write to a file
first held it. That is one to the journal: before its reply may leave, a sync of it that began after that write must
have returned. What is too large for a record is in the data file alone: a sync of that must have returned, and after it
one of the journal, in which a checkpoint leads there.

And no data reach the data file that are not on the disk in the journal: a reader could be told of them. What is too
large for a record is the exception.

The checker is shown traces in which this is not so: of a server that does not sync, and forged ones.
"""

from __future__ import annotations

import copy
import itertools
import re

from tests.crash.ledger import Group, Write
from tests.crash.power_cut import DATA_FILE, RING_FILE
from tests.crash.recorder import Recorder, Story
from tests.crash.trace import NEVER, Call, File, FileSync, FileWrite

MARK = re.compile(rb"<client\d+/\d+>")
SLOTS = 2 * 4096  # the checkpoints in the journal, its first two pages
LARGE = 4096  # KB: a journal for which few checkpoints are needed
PIECE = 60_000  # in longer values a mark may lie across the border of two pieces


def new_marks(group: Group) -> dict[Write, list[bytes]]:
    """The marks that each answered write was the first to bring; none for one that only moves or removes."""
    seen: set[bytes] = set()
    marks: dict[Write, list[bytes]] = {}
    for write in group.writes[1:]:
        values = [state[0] for state in write.states if state is not None]
        found = {mark for value in values for mark in MARK.findall(value)}
        marks[write] = sorted(found - seen) if all(len(value) < PIECE for value in values) else []
        seen |= found
    return marks


def first_writes(file: File) -> dict[bytes, FileWrite]:
    """The first write to a file that held each mark."""
    first: dict[bytes, FileWrite] = {}
    for write in file.writes:
        for mark in MARK.findall(write.data):
            first.setdefault(mark, write)
    return first


class Marks:
    """Where the marks of a story's values were written first."""

    def __init__(self, story: Story) -> None:
        self._ring = story.recording.file(RING_FILE)
        self._data = story.recording.file(DATA_FILE)
        self.journaled = first_writes(self._ring)
        self.stored = first_writes(self._data)

    def written_at(self, mark: bytes) -> int:
        """When a mark was first written; NEVER where it was not."""
        return min([first[mark].begin for first in (self.journaled, self.stored) if mark in first], default=NEVER)

    def is_journaled(self, mark: bytes) -> bool:
        """Whether it was written to the journal first."""
        return mark in self.journaled and self.journaled[mark].begin == self.written_at(mark)

    def durable_at(self, mark: bytes) -> int:
        """When what was written first with a mark was on the disk, and a start would have found it."""
        if self.is_journaled(mark):
            return _next_sync(self._ring, self.journaled[mark].end)
        if mark in self.stored:
            synced = _next_sync(self._data, self.stored[mark].end)
            slots = [write.end for write in self._ring.writes if write.offset < SLOTS and write.begin > synced]
            return _next_sync(self._ring, min(slots, default=NEVER))
        return NEVER

    def stored_too_soon(self) -> list[bytes]:
        """The marks that were journaled, and in the data file before that was on the disk."""
        journaled = [mark for mark in self.stored if self.is_journaled(mark)]
        return [mark for mark in journaled if self.stored[mark].begin < self.durable_at(mark)]


def _next_sync(file: File, moment: int) -> int:
    """When a sync returned that began after this moment."""
    return min([sync.end for sync in file.syncs if sync.begin > moment], default=NEVER)


def complaints(story: Story) -> tuple[int, list[str]]:
    """How many marks were looked at, and which writes were answered too soon, or stored too soon."""
    marks_written = Marks(story)
    looked_at, found = 0, [f"{mark!r} was stored too soon" for mark in marks_written.stored_too_soon()]
    for group in story.ledger.groups:
        marks = new_marks(group)
        for number, write in enumerate(group.writes[1:], 1):
            if not marks[write] or not write.acknowledged:
                continue
            reply = story.left[write]
            written = marks[write]
            if is_overwritten(group, number, reply, story):
                # It need not be in this commit; where it is, or is seen later, it may be a remnant beside live data.
                written = [mark for mark in written if marks_written.written_at(mark) < reply.begin]
            for mark in written:
                looked_at += 1
                if marks_written.durable_at(mark) > reply.begin:
                    found.append(f"write {number} to {group.keys} was answered in line {reply.begin}, too soon")
    return looked_at, found


def is_overwritten(group: Group, number: int, reply: Call, story: Story) -> bool:
    """Whether a later write of the same batch took the place of this one before anything was committed."""
    return any(story.left.get(later) is reply for later in group.writes[number + 1 :])


def forget_the_syncs(file: File) -> None:
    file.syncs.clear()


def delay_the_syncs(file: File) -> None:
    for sync, following in itertools.pairwise(file.syncs):
        sync.end = following.end


def begin_the_syncs_before_the_writes(file: File) -> None:
    begins = [write.begin for write in file.writes]
    for sync in file.syncs:
        sync.begin = max([begin for begin in begins if begin < sync.begin], default=sync.begin) - 1


FORGERIES = (forget_the_syncs, delay_the_syncs, begin_the_syncs_before_the_writes)


def test_no_reply_leaves_before_its_write_is_on_the_disk_and_a_forged_trace_is_noticed(recorder: Recorder) -> None:
    story = recorder.record("always", kilobytes=256)
    looked_at, found = complaints(story)
    assert found == []
    assert looked_at > 300
    print(f"\n{looked_at} marks in answered writes, each on the disk before its reply")
    for forge in FORGERIES:
        forged = copy.deepcopy(story)
        forge(forged.recording.file(RING_FILE))
        _, found = complaints(forged)
        assert len(found) > looked_at // 4, forge


def syncs_while_writing(story: Story) -> list[FileSync]:
    """The syncs of the journal between the first answer and the last, but for those of checkpoints."""
    begins = [call.begin for call in story.left.values()]
    ring = story.recording.file(RING_FILE)
    left = list(ring.syncs)
    for slot in ring.writes:
        if slot.offset < SLOTS:
            left.remove(next(sync for sync in left if sync.begin > slot.end))
    return [sync for sync in left if min(begins) < sync.begin < max(begins)]


def test_everysec_syncs_about_each_second(recorder: Recorder) -> None:
    syncs = [sync.at for sync in syncs_while_writing(recorder.record("everysec", kilobytes=LARGE))]
    gaps = [later - earlier for earlier, later in itertools.pairwise(syncs)]
    assert 2 <= len(syncs) <= 6
    assert all(0.5 < gap < 2.0 for gap in gaps), gaps


def test_no_syncs_at_checkpoints_only_and_the_checker_says_so(recorder: Recorder) -> None:
    story = recorder.record("no", kilobytes=LARGE)
    assert syncs_while_writing(story) == []
    looked_at, found = complaints(story)
    assert len(found) > looked_at // 2 > 150
