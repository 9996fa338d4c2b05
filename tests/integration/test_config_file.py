"""The running server with a configuration file: how it is given, what it may ask for, what is written back to it."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.certificates import Authority
from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, SMALL_JOURNAL, Daemon, free_port, wait_until
from tests.integration.test_daemon import KEYP, TWISTD, ask, exists, is_served, run

FATAL = "*** FATAL CONFIG FILE ERROR (Keyp "


def client(daemon: Daemon, **options: Any) -> redis.Redis:
    return redis.Redis(port=daemon.port, decode_responses=True, socket_timeout=DEADLINE_S, **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keyp.conf"
    path.write_text("# mine\nhz 20\nmaxmemory 1gb\n")
    path.chmod(0o600)
    return path


def test_a_password_that_is_written_comes_back(server: StartServer, path: Path) -> None:
    daemon = server(f"--config={path}")
    plain = client(daemon)
    assert plain.info("server")["config_file"] == str(path)
    assert plain.config_get("hz", "maxmemory") == {"hz": "20", "maxmemory": str(1 << 30)}
    assert plain.config_set("requirepass", "my secret")
    assert plain.config_rewrite()
    lines = path.read_text().splitlines()
    assert lines[:3] == ["# mine", "hz 20", "maxmemory 1gb"]
    assert 'requirepass "my secret"' in lines
    assert f"port {daemon.port}" in lines, "what the command line says holds as well"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    daemon.stop()
    daemon.start()
    with pytest.raises(redis.AuthenticationError):
        client(daemon).get("k")
    assert client(daemon, password="my secret").get("k") is None
    assert "secret" not in daemon.log()


def test_users_and_other_names_of_commands(server: StartServer, path: Path, tmp_path: Path) -> None:
    path.write_text(
        f"include {tmp_path}/names*.conf\nuser ann on >hers ~ann:* +get\nuser default on nopass ~* &* +@all\n"
    )
    (tmp_path / "names.conf").write_text("rename-command flushall ''\n")
    daemon = server(program=["-m", "keyp", str(path)])
    plain, ann = client(daemon), client(daemon, username="ann", password="hers")
    assert ann.get("ann:1") is None
    with pytest.raises(redis.exceptions.NoPermissionError):
        ann.get("other")
    with pytest.raises(redis.ResponseError, match="unknown command"):
        plain.flushall()
    with pytest.raises(redis.ResponseError, match="not configured to use an ACL file"):
        plain.acl_save()
    assert plain.acl_setuser('b"ob', enabled=True, passwords=["+his"], commands=["+get"], keys=["b*"])
    plain.acl_deluser("ann")
    assert plain.config_rewrite()
    daemon.stop()
    daemon.start()
    assert client(daemon).acl_users() == ['b"ob', "default"]
    assert client(daemon, username='b"ob', password="his").get("b1") is None
    with pytest.raises(redis.ResponseError, match="unknown command"):
        client(daemon).flushall()


def test_names_with_quotes_in_an_acl_file(server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "users").write_text("")
    daemon = server(f"--aclfile={tmp_path / 'users'}")
    plain = client(daemon)
    for name in ('b"ob', "o'neil"):
        plain.acl_setuser(name, enabled=True, nopass=True, keys=['a"*'], commands=["+get"])
    before = plain.acl_list()
    assert plain.acl_save()
    assert plain.acl_load()
    assert client(daemon).acl_list() == before
    daemon.stop()
    daemon.start()
    assert client(daemon).acl_list() == before


def test_secrets_that_everybody_can_read_are_told(server: StartServer, path: Path) -> None:
    path.write_text("requirepass mellon\nio-threads 4\n")
    path.chmod(0o644)
    daemon = server(f"--config={path}")
    told = [line for line in daemon.log().splitlines() if str(path) in line]
    assert len([line for line in told if "has secrets and everybody on this machine can read it" in line]) == 1
    assert len([line for line in told if "of no effect in Keyp: io-threads" in line]) == 1
    admin = client(daemon, password="mellon")
    assert admin.config_rewrite()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert "mellon" not in daemon.log()


def test_a_socket_alone(tmp_path: Path, server: StartServer) -> None:
    """`port 0` is no port, and the socket has the mode that the file names."""
    path = tmp_path / "keyp.conf"
    path.write_text(f"port 0\nunixsocket {tmp_path}/socket\nunixsocketperm 700\ndir {tmp_path}/store\ndaemonize yes\n"
                    f"pidfile {tmp_path}/pid\nlogfile {tmp_path}/log\njournal-size {SMALL_JOURNAL}\n")  # fmt: skip
    started = run(tmp_path, *KEYP, str(path))
    assert started.returncode == 0, started.stdout + started.stderr
    log = tmp_path / "log"
    pid = int((tmp_path / "pid").read_text())
    try:
        wait_until(lambda: is_served(tmp_path / "socket"), "an answer on the socket")
        assert stat.S_IMODE((tmp_path / "socket").stat().st_mode) == 0o700
        assert ask(str(tmp_path / "socket"), "SET a 1", "CONFIG REWRITE") == ["+OK", "+OK"]
        assert "port 0" in path.read_text().splitlines()
        log.rename(tmp_path / "log.1")
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: log.exists() and "opened anew" in log.read_text(), "a new log")
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not exists(pid), "the daemon's end")
    assert not (tmp_path / "pid").exists()
    assert f"serves {tmp_path}/store on {tmp_path}/socket" in (tmp_path / "log.1").read_text()
    assert "everything is on the disk" in log.read_text()


@pytest.mark.parametrize("before", ["{living}", "1\n", "no number", ""])
def test_no_pid_file_keeps_the_server_from_starting(server: StartServer, path: Path, before: str) -> None:
    """After a crash the number in it may be another process's, in a container the server's own."""
    pid_file = path.parent / "pid"
    pid_file.write_text(before.format(living=os.getpid()))
    path.write_text(f"pidfile {pid_file}\n")
    daemon = server(program=["-m", "keyp", str(path)])
    assert pid_file.read_text() == f"{daemon.pid}\n"
    daemon.stop()
    assert not pid_file.exists()


def test_a_pid_file_that_cannot_be_written_is_told_of(server: StartServer, path: Path) -> None:
    path.write_text(f"pidfile {path.parent}/missing/pid\n")
    daemon = server(program=["-m", "keyp", str(path)])
    assert client(daemon).ping()
    assert "Failed to write PID file: No such file or directory" in daemon.log()


def test_who_cannot_start_leaves_the_pid_file_of_who_serves(server: StartServer, path: Path, tmp_path: Path) -> None:
    pid_file = path.parent / "pid"
    path.write_text(f"pidfile {pid_file}\n")
    daemon = server(program=["-m", "keyp", str(path)])
    second = run(tmp_path, *KEYP, str(path), f"--port={daemon.port}")
    assert second.returncode == 1
    assert pid_file.read_text() == f"{daemon.pid}\n"


def test_addresses(server: StartServer, tmp_path: Path) -> None:
    """One with a `-` in front may be missing; without it there is no start."""
    path = tmp_path / "addresses.conf"
    path.write_text(f"bind 127.0.0.1 192.0.2.1\nport {free_port()}\n")
    refused = run(tmp_path, *KEYP, str(path))
    assert refused.returncode == 1
    assert "cannot listen on 192.0.2.1 port" in refused.stdout
    daemon = server(f"--config={path}", "--host=127.0.0.1 -192.0.2.1")
    assert client(daemon).config_get("bind") == {"bind": "127.0.0.1 -192.0.2.1"}


def test_tls(server: StartServer, path: Path, tmp_path: Path) -> None:
    authority, port = Authority(tmp_path), free_port()
    certificate, key = authority.sign("server")
    own = authority.sign("ann")
    path.write_text(
        f"tls-port {port}\ntls-cert-file {certificate}\ntls-key-file '{key}'\ntls-ca-cert-file {authority.path}\n"
        f"tls-auth-clients-user cn\nuser ann on ~* +@all\nuser default on nopass ~* &* +@all\n"
    )
    daemon = server(f"--config={path}")
    secure = redis.Redis(
        port=port, host="127.0.0.1", ssl=True, ssl_ca_certs=str(authority.path), ssl_certfile=str(own[0]),
        ssl_keyfile=str(own[1]), decode_responses=True, socket_timeout=DEADLINE_S,
    )  # fmt: skip
    assert secure.acl_whoami() == "ann"
    assert secure.config_set("tls-auth-clients", "optional")
    assert secure.config_rewrite()
    assert {"tls-auth-clients optional", f"tls-port {port}", "tls-auth-clients-user cn"} <= set(
        path.read_text().splitlines()
    )
    secure.close()
    daemon.stop()
    daemon.start()
    assert secure.config_get("tls-auth-clients") == {"tls-auth-clients": "optional"}
    secure.close()


@pytest.mark.parametrize("program", [KEYP, (*TWISTD, "--nodaemon", "--pidfile=", "keyp")], ids=["keyp", "twistd"])
def test_nothing_is_started_with_a_file_that_is_wrong(tmp_path: Path, program: tuple[str, ...]) -> None:
    (tmp_path / "wrong.conf").write_text("hz 20\n\nuser ann >secret +nosuch\n")
    result = run(tmp_path, *program, "--config=wrong.conf", "--port=0")
    assert result.returncode == 1
    told = result.stderr.splitlines()
    assert told[1].startswith(FATAL)
    assert told[2:] == [
        f"Reading the configuration file {tmp_path}/wrong.conf, at line 3", ">>> 'user (not shown)'",
        "Error in user declaration '+nosuch': Unknown command or category name in ACL",
    ]  # fmt: skip
    assert os.listdir(tmp_path) == ["wrong.conf"]
    assert result.stdout == ""


def test_twistd(server: StartServer, path: Path) -> None:
    """It has options of its own for what makes a daemon."""
    path.write_text("hz 20\ndaemonize yes\npidfile x\nlogfile y\n")
    daemon = server(f"--config={path}", program=[*TWISTD, "--nodaemon", "--pidfile=", "keyp"])
    assert client(daemon).config_get("hz") == {"hz": "20"}
    assert "of no effect in Keyp: daemonize, pidfile, logfile" in daemon.log()
    ask(daemon.port, "SHUTDOWN")
    daemon.wait_for_exit()
    assert not {"x", "y"} & set(os.listdir(daemon.directory))


def test_a_log_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("logfile nosuch/log\n")
    result = run(tmp_path, *KEYP, "a.conf", "--port=0")
    assert (result.returncode, result.stderr) == (
        1, "keyp: Can't open the log file: No such file or directory (nosuch/log)\n",
    )  # fmt: skip
