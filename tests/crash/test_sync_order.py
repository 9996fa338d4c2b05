"""With `--fsync always` no reply leaves before what it promises is on the disk.

Read from a trace of the real server. Every value has a mark of its own, so the trace itself shows which write to the
data file first held it. Before its reply may leave, a sync that began after that write must have returned, and after
that a write of LMDB's head through an O_DSYNC descriptor, which is what makes the commit count.

The checker is shown traces in which this is not so: of a server that does not sync, and forged ones.
"""

from __future__ import annotations

import copy
import itertools
import re

from tests.crash.ledger import Group, Write
from tests.crash.recorder import Recorder, Story
from tests.crash.trace import NEVER, Call, File, FileWrite

MARK = re.compile(rb"<client\d+/\d+>")
HEADS = 2 * 4096  # LMDB's two heads are the file's first two pages
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


def first_writes(files: list[File]) -> dict[bytes, tuple[File, FileWrite]]:
    """The first write to a file that held each mark."""
    first: dict[bytes, tuple[File, FileWrite]] = {}
    for file in files:
        for write in file.writes:
            for mark in MARK.findall(write.data):
                first.setdefault(mark, (file, write))
    return first


def durable_at(file: File, write: FileWrite) -> int:
    """When the commit that a write of data belongs to was on the disk for good."""
    synced = min([sync.end for sync in file.syncs if sync.begin > write.end], default=NEVER)
    heads = [head for head in file.writes if head.synced and head.offset < HEADS and head.begin > synced]
    return min([head.end for head in heads], default=NEVER)


def complaints(story: Story) -> tuple[int, list[str]]:
    """How many writes were looked at, and which of them were answered too soon."""
    first = first_writes(story.recording.files())
    looked_at, found = 0, []
    for group in story.ledger.groups:
        marks = new_marks(group)
        for number, write in enumerate(group.writes[1:], 1):
            if not marks[write] or not write.acknowledged:
                continue
            reply = story.left[write]
            written = [first[mark] for mark in marks[write] if mark in first]
            if is_overwritten(group, number, reply, story):
                # It need not be in this commit; where it is, or is seen later, it may be a remnant beside live data.
                written = [(file, data) for file, data in written if data.begin < reply.begin]
            elif not written:
                found.append(f"write {number} to {group.keys} is in no write to a file")
            for file, data in written:
                looked_at += 1
                if durable_at(file, data) > reply.begin:
                    found.append(f"write {number} to {group.keys} was answered in line {reply.begin}, too soon")
    return looked_at, found


def is_overwritten(group: Group, number: int, reply: Call, story: Story) -> bool:
    """Whether a later write of the same batch took the place of this one before anything was committed."""
    return any(story.left.get(later) is reply for later in group.writes[number + 1 :])


def forget_the_syncs(file: File) -> None:
    file.syncs.clear()


def delay_the_syncs(file: File) -> None:
    for sync in file.syncs:
        following = [write.end for write in file.writes if write.synced and write.begin > sync.end]
        sync.end = min(following, default=sync.end) + 1


def do_not_wait_for_the_heads(file: File) -> None:
    for write in file.writes:
        write.synced = False


def delay_the_heads(file: File) -> None:
    heads = [write for write in file.writes if write.synced]
    for head, following in itertools.pairwise(heads):
        head.end = following.end


FORGERIES = (forget_the_syncs, delay_the_syncs, do_not_wait_for_the_heads, delay_the_heads)


def test_no_reply_leaves_before_its_write_is_on_the_disk_and_a_forged_trace_is_noticed(recorder: Recorder) -> None:
    story = recorder.record("always")
    looked_at, found = complaints(story)
    assert found == []
    assert looked_at > 300
    print(f"\n{looked_at} marks in answered writes, each on the disk before its reply")
    for forge in FORGERIES:
        forged = copy.deepcopy(story)
        for file in forged.recording.files():
            forge(file)
        _, found = complaints(forged)
        assert len(found) > looked_at // 4, forge


def syncs_while_writing(story: Story) -> list[float]:
    """When the data file was synced between the first answer and the last, in seconds."""
    begins = [call.begin for call in story.left.values()]
    data = story.recording.namings[-1].names["data.mdb"]
    return [sync.at for sync in data.syncs if min(begins) < sync.begin < max(begins)]


def test_everysec_syncs_about_each_second(recorder: Recorder) -> None:
    syncs = syncs_while_writing(recorder.record("everysec"))
    gaps = [later - earlier for earlier, later in itertools.pairwise(syncs)]
    assert 2 <= len(syncs) <= 6
    assert all(0.5 < gap < 2.0 for gap in gaps), gaps


def test_no_does_not_sync_and_the_checker_says_so(recorder: Recorder) -> None:
    story = recorder.record("no")
    assert syncs_while_writing(story) == []
    looked_at, found = complaints(story)
    assert len(found) == looked_at > 300
