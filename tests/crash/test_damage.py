"""Damaged stores: refused at the start with one line, or an error on the one key; never a wrong value, never a loop.

Each change of a byte is tried in a process of its own, with the engine and everything below it; some of them with the
real server too. The long form prints how often what happened.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import lmdb
import pytest

from keyp.storage import layout, verification
from keyp.storage.environment import DATA_FILE, Environment
from keyp.storage.faults import StoreError
from tests.crash.daemons import daemon_on, mounted, tool
from tests.crash.damage import (
    DIED,
    ERROR,
    MISSING,
    PAGE,
    REFUSED,
    RIGHT,
    WRONG,
    Flip,
    copy_store,
    in_a_process,
    make_store,
    names,
    read_all,
)
from tests.integration.daemon import LONG, Daemon
from tests.wire import reply_end

FLIPS = 4000 if LONG else 40
FLIPS_SERVED = 300 if LONG else 4


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("damage") / "store"
    make_store(path)
    return path


@pytest.fixture
def copy(template: Path, tmp_path: Path) -> Path:
    """A sound store, closed in order."""
    copy_store(template, tmp_path / "data", closed=True)
    return tmp_path / "data"


# Changed bytes.


def outcome_of(template: Path, path: Path, flip: Flip, closed: bool) -> dict[str, int | str]:
    shutil.rmtree(path, ignore_errors=True)
    flip.apply(copy_store(template, path, closed))
    outcome = in_a_process(path)
    if DIED in outcome:
        again = in_a_process(path)
        assert REFUSED in again, f"{flip}: the process died of signal {outcome[DIED]} and the next start gave {again}"
    return outcome


def test_a_changed_byte_is_never_a_wrong_value(template: Path, tmp_path: Path, seed: str) -> None:
    data = (template / DATA_FILE).read_bytes()
    random = Random(f"{seed}/flips")
    counts: Counter[str] = Counter()
    for number in range(FLIPS):
        flip = Flip(data, random)
        outcome = outcome_of(template, tmp_path / "copy", flip, closed=number % 2 == 0)
        counts[summary(outcome)] += 1
        counts["keys missing without an error"] += int(outcome.get(MISSING, 0))
        assert not outcome.get(WRONG), (flip, outcome)
        assert not outcome.get(f"{WRONG} after writes"), (flip, outcome)
        assert not outcome.get("traceback"), (flip, outcome["traceback"])
        if outcome.get(MISSING):
            assert outcome["check"], (flip, outcome)
    print(f"\n{FLIPS} changed bytes: {dict(counts)}")


def summary(outcome: dict[str, int | str]) -> str:
    if REFUSED in outcome:
        return REFUSED
    if DIED in outcome:
        return f"died of {signal.Signals(int(outcome[DIED])).name}, refused at the next start"
    found = [what for what in (ERROR, MISSING) if outcome.get(what) or outcome.get(f"{what} after writes")]
    return " and ".join(found) or "all right"


def test_a_changed_byte_and_the_server(template: Path, tmp_path: Path, seed: str) -> None:
    data = (template / DATA_FILE).read_bytes()
    random = Random(f"{seed}/served")
    counts: Counter[str] = Counter()
    path = tmp_path / "data"
    with daemon_on(path, tmp_path, "--fsync=no") as daemon:
        for number in range(FLIPS_SERVED):
            shutil.rmtree(path, ignore_errors=True)
            flip = Flip(data, random)
            flip.apply(copy_store(template, path, closed=number % 2 == 0))
            counts[serve(daemon)] += 1
        assert "Traceback" not in daemon.log()
    print(f"\n{FLIPS_SERVED} changed bytes and the server: {dict(counts)}")


def serve(daemon: Daemon) -> str:
    """Starts a server on a damaged store, reads every key and kills it; what it was like."""
    try:
        daemon.start()
    except AssertionError:
        assert_refusal(daemon.start_in_vain())
        return REFUSED
    try:
        found = read_all(Asker(daemon.port).ask)
    except OSError:
        number = daemon.wait_for_death()
        for _ in range(2):
            assert_refusal(daemon.start_in_vain())
        return f"died of {signal.Signals(number).name}, refused at the next start"
    daemon.kill()
    assert not found[WRONG]
    return " and ".join([what for what in (ERROR, MISSING) if found[what]]) or "all right"


class Asker:
    """A connection that sends a request and waits for its reply. Raises OSError where there is none."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)

    def ask(self, data: bytes) -> bytes:
        self._socket.sendall(data)
        reply = b""
        while reply_end(reply) < 0:
            part = self._socket.recv(1 << 20)
            if not part:
                raise ConnectionResetError
            reply += part
        return reply


def assert_refusal(text: str) -> None:
    """One line that says what is wrong, and no traceback."""
    assert len([line for line in text.splitlines() if "keyp: " in line]) == 1, text
    assert "Traceback" not in text


# Files that are no store, or not all of one.


def refused(path: Path, text: str) -> None:
    with pytest.raises(StoreError, match=text):
        Environment(str(path))


def test_an_empty_data_file_is_not_taken_for_a_new_store(copy: Path) -> None:
    (copy / DATA_FILE).write_bytes(b"")
    refused(copy, "it is empty, what it held is gone")
    assert (copy / DATA_FILE).read_bytes() == b""


@pytest.mark.parametrize("share", [0.0001, 0.0022, 0.0035, 0.3, 0.7, 0.99])
def test_a_data_file_that_is_cut_off_is_refused(copy: Path, share: float) -> None:
    size = int((copy / DATA_FILE).stat().st_size * share)
    os.truncate(copy / DATA_FILE, size)
    outcome = in_a_process(copy)
    assert REFUSED in outcome, outcome


def test_a_sound_file_may_be_shorter_than_it_says(copy: Path) -> None:
    """Where its last pages are free and were never written."""
    data_file = copy / DATA_FILE
    env = lmdb.open(str(copy), max_dbs=100, lib_version=0, map_size=1 << 30)
    with env.begin(write=True) as txn:  # pages at the end that are freed in the transaction after they were written
        txn.put(b"filler", bytes(1 << 20), db=env.open_db(b"garbage", txn=txn))
    with env.begin(write=True) as txn:
        txn.delete(b"filler", db=env.open_db(b"garbage", txn=txn))
    env.close()
    os.truncate(data_file, data_file.stat().st_size - 20 * PAGE)
    assert verification.problems(str(data_file)) == []
    assert verification.doubt(str(data_file)) == "it is shorter than its head says"
    environment = Environment(str(copy))
    assert len(environment.notices) == 1
    environment.close()
    assert verification.doubt(str(data_file)) == ""
    assert in_a_process(copy)[RIGHT] == len(names())


@pytest.mark.parametrize("content", [b"x", b"hello, world\n" * 1000, bytes(8192), b"\xff" * 100_000])
def test_a_foreign_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DATA_FILE).write_bytes(content)
    refused(tmp_path, "not a store of Keyp|cut off")
    assert os.listdir(tmp_path) == [DATA_FILE]
    assert (tmp_path / DATA_FILE).read_bytes() == content


def test_the_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with (
        lmdb.open(str(tmp_path / DATA_FILE), subdir=False, lock=False, lib_version=0) as env,
        env.begin(write=True) as txn,
    ):
        txn.put(b"theirs", b"1")
    content = (tmp_path / DATA_FILE).read_bytes()
    refused(tmp_path, "another program; it was not touched")
    assert os.listdir(tmp_path) == [DATA_FILE]
    assert (tmp_path / DATA_FILE).read_bytes() == content


def test_a_newer_format_is_refused(copy: Path) -> None:
    with lmdb.open(str(copy), max_dbs=9, lib_version=0) as env, env.begin(write=True) as txn:
        txn.put(b"format", layout.number(layout.FORMAT + 1), db=env.open_db(b"meta", txn=txn))
    content = (copy / DATA_FILE).read_bytes()
    refused(copy, f"in format {layout.FORMAT + 1}, this Keyp reads {layout.FORMAT}; it was not touched")
    assert (copy / DATA_FILE).read_bytes() == content


@pytest.mark.parametrize("name", [b"version", b"collections", b"databases"])
def test_the_stores_own_numbers_are_sealed(copy: Path, name: bytes) -> None:
    with lmdb.open(str(copy), max_dbs=9, lib_version=0) as env, env.begin(write=True) as txn:
        meta = env.open_db(b"meta", txn=txn)
        value = txn.get(name, db=meta)
        txn.put(name, bytes(len(value) - layout.SEAL) + value[-layout.SEAL :], db=meta)
    outcome = in_a_process(copy)
    assert REFUSED in outcome or outcome["check"]
    assert not outcome.get(MISSING)


def test_a_space_that_is_gone_is_not_made_anew(copy: Path) -> None:
    with lmdb.open(str(copy), max_dbs=99, lib_version=0) as env, env.begin(write=True) as txn:
        txn.drop(env.open_db(b"keys:1", txn=txn), delete=True)
    refused(copy, "space 1 serves a database and is not there")


# The server, and what it says.


def test_what_a_server_says_that_cannot_start(template: Path, tmp_path: Path) -> None:
    path = tmp_path / "data"
    with daemon_on(path, tmp_path) as daemon:
        path.write_text("a file")
        assert one_line(daemon.start_in_vain()) == f"keyp: cannot use the data directory: Not a directory: {path}"
        path.unlink()
        path.mkdir()
        (path / DATA_FILE).write_bytes(b"")
        text = one_line(daemon.start_in_vain())
        assert text == f"keyp: cannot use the data file, it is empty, what it held is gone: {path / DATA_FILE}"
        assert os.listdir(path) == [DATA_FILE]
        shutil.rmtree(path)
        os.truncate(copy_store(template, path, closed=True), 100 * PAGE)
        text = one_line(daemon.start_in_vain())
        assert text.startswith(f"keyp: the store is damaged; keyp check tells more, a backup may help: {path} (")
        assert "Traceback" not in daemon.log()


def one_line(text: str) -> str:
    assert_refusal(text)
    return next("keyp: " + line.partition("keyp: ")[2] for line in text.splitlines() if "keyp: " in line)


def without_privilege() -> list[str]:
    """A launcher that makes even root heed the permissions of files."""
    if os.geteuid() != 0:
        return []
    return [tool("setpriv", "util-linux"), "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize(("what", "mode"), [("data", 0o500), ("data", 0), (DATA_FILE, 0o400), (DATA_FILE, 0)])
def test_missing_permissions_are_named(template: Path, tmp_path: Path, what: str, mode: int) -> None:
    path = tmp_path / "data"
    copy_store(template, path, closed=True)
    for name in ("keyp.lock", "lock.mdb", "keyp.reserve"):
        (path / name).unlink(missing_ok=True)
    subject = path if what == "data" else path / DATA_FILE
    subject.chmod(mode)
    try:
        with daemon_on(path, tmp_path) as daemon:
            daemon.launcher = without_privilege()
            text = one_line(daemon.start_in_vain())
    finally:
        subject.chmod(0o700)
    assert "Permission denied" in text
    assert os.listdir(path) == [DATA_FILE]


def test_a_file_system_that_is_read_only_is_named(template: Path, tmp_path: Path) -> None:
    with mounted("tmpfs", 40, tmp_path) as disk, daemon_on(disk / "data", tmp_path) as daemon:
        copy_store(template, disk / "data", closed=True)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        text = one_line(daemon.start_in_vain())
    assert text.startswith("keyp: cannot use the data directory: Read-only file system: ")


def test_the_parent_of_a_daemon_tells_the_reason_too(template: Path, tmp_path: Path) -> None:
    """When twistd has become a daemon, the first process prints only the first hundred bytes of what is wrong."""
    path = tmp_path / "data"
    os.truncate(copy_store(template, path, closed=True), 100 * PAGE)
    twistd = Path(sys.executable).with_name("twistd")
    command = [str(twistd), f"--pidfile={tmp_path}/pid", f"--logfile={tmp_path}/log", "keyp", "--port=0"]
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [*command, f"--data-dir={path}"], env={**os.environ, "PYTHONPATH": root}, capture_output=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert b"the store is damaged; keyp check tells more" in done.stdout + done.stderr
    assert b"Traceback" not in done.stdout + done.stderr


def test_a_file_that_is_cut_off_under_the_server(template: Path, tmp_path: Path) -> None:
    """A signal ends it; the next start knows, and refuses until the store is sound again."""
    path = tmp_path / "data"
    data_file = copy_store(template, path, closed=True)
    sound = data_file.read_bytes()
    with daemon_on(path, tmp_path, "--fsync=no") as daemon:
        daemon.start()
        os.truncate(data_file, 3 * PAGE)
        with pytest.raises((ConnectionError, EOFError)):
            read_all(Asker(daemon.port).ask)
        assert daemon.wait_for_death() in (signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT)
        for _ in range(2):
            assert "the store is damaged" in one_line(daemon.start_in_vain())
        data_file.write_bytes(sound)
        daemon.start()
        assert "its last run ended with 'Fatal Python error: " in daemon.log()
        assert read_all(Asker(daemon.port).ask) == {RIGHT: len(names())}
        daemon.stop()
        assert not (path / "keyp.crash").exists()


def test_a_crash_with_a_sound_store_is_noted_once(template: Path, tmp_path: Path) -> None:
    path = tmp_path / "data"
    copy_store(template, path, closed=True)
    with daemon_on(path, tmp_path, "--fsync=no") as daemon:
        daemon.start()
        assert "verified" not in daemon.log()
        os.kill(daemon.pid, signal.SIGSEGV)
        assert daemon.wait_for_death() == signal.SIGSEGV
        daemon.start()
        assert daemon.log().count("the store's structure was verified and is sound") == 1
        daemon.kill()
        daemon.start()
        assert daemon.log().count("the store's structure was verified and is sound") == 1
        assert read_all(Asker(daemon.port).ask) == {RIGHT: len(names())}
        daemon.stop()


def test_opening_looks_at_the_whole_file_only_where_there_is_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(verification, "problems", lambda path, *rest: looked.append(path) or [])
    for _ in range(3):
        environment = Environment(str(tmp_path), fsync="no")
        assert environment.notices == []
        environment.close()
    assert looked == []
