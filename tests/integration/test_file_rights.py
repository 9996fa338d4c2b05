"""Who may read and write what the server keeps: modes, owners, links, and root's rights that are given up."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import ROOT, Daemon
from tests.integration.test_daemon import run
from tests.integration.test_twistd import RUN

FILES = ("data.mdb", "journal", "keyp.lock", "lock.mdb", "keyp.reserve", "keyp.crash")
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away and become somebody else")
NOBODY = pwd.getpwnam("nobody")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes_below(path: Path) -> set[int]:
    """The modes of all files in a directory, those of directories left out."""
    return {mode(file) for file in path.rglob("*") if file.is_file()}


def with_mask(mask: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f'umask {mask}; exec "$@"', "sh")


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that everybody may enter."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize("mask", ["000", "777"])
def test_files_are_private_whatever_the_mask_is(server: StartServer, tmp_path: Path, mask: str) -> None:
    """Those of the store, of SAVE, of `keyp backup` and of ACL SAVE."""
    users = tmp_path / "users.acl"
    users.write_text("user default on nopass ~* &* +@all\n")
    users.chmod(0o600)
    daemon = server(f"--aclfile={users}", launcher=with_mask(mask))
    with redis.Redis(port=daemon.port) as client:
        assert client.set("k", "v")
        assert client.save()
        assert client.acl_save()
    tool = f"import os, sys; os.umask(0o{mask}); from keyp.main import main; main()"
    copied = run(tmp_path, "-c", tool, "backup", "copy", f"--data-dir={daemon.data_dir}")
    assert copied.returncode == 0, copied.stderr
    assert modes_below(daemon.data_dir) == modes_below(tmp_path / "copy") == {0o600}
    assert {mode(path) for path in (daemon.data_dir, daemon.data_dir / "backup", tmp_path / "copy")} == {0o700}
    assert mode(users) == 0o600
    assert "can read or change" not in daemon.log()


def test_files_that_were_readable_are_no_more(server: StartServer) -> None:
    daemon = server()
    daemon.stop()
    for name in FILES:
        if (daemon.data_dir / name).exists():
            (daemon.data_dir / name).chmod(0o644)
    daemon.start()
    assert modes_below(daemon.data_dir) == {0o600}


def test_a_directory_that_others_can_write_to_is_refused(server: StartServer) -> None:
    daemon = server()
    daemon.stop()
    before = sorted(daemon.data_dir.iterdir())
    daemon.data_dir.chmod(0o770)
    assert "others can write to it (mode 0770)" in daemon.start_in_vain()
    assert sorted(daemon.data_dir.iterdir()) == before
    daemon.data_dir.chmod(0o755)
    daemon.start()
    assert mode(daemon.data_dir) == 0o755, "others may see the names: the files are private"


def test_an_empty_directory_becomes_private(server: StartServer, tmp_path: Path) -> None:
    """As `mkdir` makes it for users whose mask is 002. One like /tmp is refused also while it is empty."""
    for number, before in enumerate((0o775, 0o1777)):
        directory = tmp_path / str(number)
        directory.mkdir()
        directory.chmod(before)
    daemon = server(f"--data-dir={tmp_path / '0'}")
    daemon.data_dir = tmp_path / "0"
    assert mode(daemon.data_dir) == 0o700
    daemon.stop()
    daemon.options = (f"--data-dir={tmp_path / '1'}",)
    assert "others can write to it (mode 1777)" in daemon.start_in_vain()
    assert list((tmp_path / "1").iterdir()) == []


def test_the_directory_may_be_a_link(server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(0o700)
    (tmp_path / "server0").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "server0").rmdir()
    daemon = server(f"--data-dir={tmp_path / 'link'}")
    daemon.data_dir = tmp_path / "elsewhere"
    assert (daemon.data_dir / "data.mdb").is_file()


def test_a_link_in_the_place_of_a_file_is_refused(server: StartServer, tmp_path: Path) -> None:
    daemon = server()
    daemon.stop()
    file, elsewhere = daemon.data_dir / "data.mdb", tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert f"a link is in the place of a file of Keyp's: {file}" in daemon.start_in_vain()
    assert elsewhere.read_bytes() == before
    elsewhere.rename(file)


def test_the_users_file_keeps_a_stricter_mode_and_follows_no_link(server: StartServer, tmp_path: Path) -> None:
    users, precious = tmp_path / "users.acl", tmp_path / "precious"
    users.write_text("user default on nopass ~* &* +@all\n")
    users.chmod(0o644)
    precious.write_text("mine")
    daemon = server(f"--aclfile={users}")
    assert f"others can read or change the users in {users} (mode 0644)" in daemon.log()
    users.chmod(0o400)
    Path(f"{users}.tmp-{daemon.pid}").symlink_to(precious)
    with redis.Redis(port=daemon.port) as client:
        client.acl_setuser("ann", enabled=True, nopass=True)
        assert client.acl_save()
    assert "user ann" in users.read_text()
    assert mode(users) == 0o400
    assert precious.read_text() == "mine"


@NEEDS_ROOT
def test_what_belongs_to_somebody_else_is_refused(server: StartServer) -> None:
    """The directory, and a file in it. Tools of root's may look at them."""
    daemon = server()
    daemon.stop()
    for path in (daemon.data_dir, daemon.data_dir / "data.mdb"):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
        assert "belongs to nobody" in daemon.start_in_vain()
        looked = run(daemon.directory, "-m", "keyp", "check", str(daemon.data_dir))
        assert looked.returncode == 0, looked.stderr
        os.chown(path, 0, 0)


@NEEDS_ROOT
def test_a_backup_is_not_written_into_a_file_of_somebody_elses(server: StartServer, tmp_path: Path) -> None:
    daemon = server()
    target = tmp_path / "copy"
    target.mkdir()
    trap = target / "data.mdb.partial"
    trap.write_text("")
    trap.chmod(0o666)
    os.chown(trap, NOBODY.pw_uid, NOBODY.pw_gid)
    with trap.open() as held:
        copied = run(tmp_path, "-m", "keyp", "backup", str(target), f"--data-dir={daemon.data_dir}")
        assert copied.returncode == 0, copied.stderr
        assert held.read() == ""
    about = (target / "data.mdb").stat()
    assert (about.st_uid, stat.S_IMODE(about.st_mode)) == (0, 0o600)


def python_for_nobody() -> str:
    """An interpreter like ours that the user nobody may run: ours may be in the home of root."""
    like = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for path in (sys.executable, f"/usr/bin/{like}", f"/usr/local/bin/{like}"):
        with contextlib.suppress(OSError):
            if subprocess.run([path, "-c", ""], user="nobody", cwd="/", check=False).returncode == 0:
                return path
    pytest.skip(f"there is no {like} that the user nobody may run")


def for_nobody(directory: Path, before: str, *options: str) -> Daemon:
    """A daemon whose Python nobody may run; `before` is Python that comes first."""
    python = python_for_nobody()
    daemon = Daemon(directory, *options)
    program = f"import os, sys; {before}; os.execv({python!r}, [{python!r}, *sys.argv[2:]])"
    daemon.launcher = [python, "-c", program]
    packages = os.pathsep.join((str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    daemon.environment = {"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}
    return daemon


def low_port() -> int:
    """A port that only root may listen on, and nobody does."""
    for port in range(1000, 600, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no low port is free")


def ids(pid: int, name: str) -> set[int]:
    """Numbers of a process's users or groups, as the kernel tells."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {int(word) for line in lines if line.startswith(f"{name}:") for word in line.split()[1:]}


@NEEDS_ROOT
def test_roots_rights_are_given_up(open_path: Path) -> None:
    """The ports are root's work; the directory, made with those above it, the files and the socket are the user's.

    In a directory of root's the socket cannot be removed; the server stops in order all the same.
    """
    data_dir, path, port = open_path / "lib" / "keyp" / "data", open_path / "socket", low_port()
    options = (f"--data-dir={data_dir}", f"--endpoint=unix:{path}:mode=660", f"--port={port}")
    program = ("-c", RUN, "--nodaemon", "--pidfile=", "--no_save", "--uid=nobody", "keyp")
    daemon = for_nobody(open_path, "pass", *options)
    daemon.port, daemon.data_dir, daemon.program = port, data_dir, list(program)
    daemon.start()
    try:
        assert ids(daemon.pid, "Uid") == {NOBODY.pw_uid}
        assert ids(daemon.pid, "Gid") == {NOBODY.pw_gid}
        assert ids(daemon.pid, "Groups") <= {NOBODY.pw_gid, *os.getgrouplist("nobody", NOBODY.pw_gid)}
        with redis.Redis(unix_socket_path=str(path)) as client:
            assert client.set("k", "v")
            assert client.save()
        owners = {(file.stat().st_uid, file.stat().st_gid) for file in (data_dir, path, *data_dir.rglob("*"))}
        assert owners == {(NOBODY.pw_uid, NOBODY.pw_gid)}
        assert modes_below(data_dir) == {0o600}
        assert (mode(data_dir), mode(path), mode(data_dir.parent)) == (0o700, 0o660, 0o755)
        assert data_dir.parent.stat().st_uid == 0
        with redis.Redis(port=port) as client:
            client.shutdown(nosave=True)
        daemon.wait_for_exit()
        assert f"{path} stays" in daemon.log()
        daemon.start()
        with redis.Redis(port=port) as client:
            assert client.get("k") == b"v"
            client.shutdown(nosave=True)
        daemon.wait_for_exit()
    finally:
        if daemon.running:
            daemon.kill()
    daemon.check()


@NEEDS_ROOT
def test_a_user_without_rights_serves_what_is_his(open_path: Path) -> None:
    """As in a container: the directory is there, empty and his. One that root has left open to all is refused."""
    data_dir = open_path / "data"
    data_dir.mkdir()
    data_dir.chmod(0o777)
    become = f"os.setgroups([]); os.setgid({NOBODY.pw_gid}); os.setuid({NOBODY.pw_uid})"
    daemon = for_nobody(open_path, become, f"--data-dir={data_dir}")
    daemon.data_dir = data_dir
    assert "others can write to it (mode 0777)" in daemon.start_in_vain()
    data_dir.chmod(0o755)
    assert "Permission denied" in daemon.start_in_vain()
    os.chown(data_dir, NOBODY.pw_uid, NOBODY.pw_gid)
    daemon.start()
    try:
        assert {file.stat().st_uid for file in data_dir.iterdir()} == {NOBODY.pw_uid}
        daemon.stop()
    finally:
        if daemon.running:
            daemon.kill()
    daemon.check()
