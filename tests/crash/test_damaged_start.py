"""Damaged stores under a real server: one line that says what is wrong, exit status 1, never a loop of crashes."""

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

import pytest

from keyp.storage.lmdb.store import DATA_FILE
from tests.crash.daemons import daemon_on, mounted, tool
from tests.crash.damage import ERROR, MISSING, PAGE, REFUSED, RIGHT, WRONG, Flip, copy_store, names, read_all
from tests.integration.daemon import LONG, Daemon
from tests.wire import reply_end

FLIPS = 300 if LONG else 2


def test_a_changed_byte_and_the_server(template: Path, tmp_path: Path, seed: str) -> None:
    data = (template / DATA_FILE).read_bytes()
    random = Random(f"{seed}/served")
    counts: Counter[str] = Counter()
    path = tmp_path / "data"
    with daemon_on(path, tmp_path, "--fsync=no") as daemon:
        for number in range(FLIPS):
            shutil.rmtree(path, ignore_errors=True)
            flip = Flip(data, random)
            flip.apply(copy_store(template, path, closed=number % 2 == 0))
            counts[serve(daemon)] += 1
        assert "Traceback" not in daemon.log()
    print(f"\n{FLIPS} changed bytes and the server: {dict(counts)}")


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
    for name in ("keyp.lock", "lock.mdb", "keyp.reserve", "journal"):
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


@pytest.mark.parametrize("mode", [0o400, 0])
def test_a_journal_without_permissions_is_named(template: Path, tmp_path: Path, mode: int) -> None:
    """Also where the data file could do without it: then it is the owner's to take it away."""
    path = tmp_path / "data"
    copy_store(template, path, closed=True)
    before = (path / "data.mdb").read_bytes(), (path / "journal").read_bytes()
    (path / "journal").chmod(mode)
    with daemon_on(path, tmp_path) as daemon:
        daemon.launcher = without_privilege()
        text = one_line(daemon.start_in_vain())
    (path / "journal").chmod(0o600)
    assert "Permission denied" in text
    assert before == ((path / "data.mdb").read_bytes(), (path / "journal").read_bytes())


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
            assert "the journal does not fit the data file" in one_line(daemon.start_in_vain())
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
