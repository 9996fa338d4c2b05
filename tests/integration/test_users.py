"""Users and passwords on the running server: how they are given, kept and changed, and what clients make of them."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.conftest import NEVER_AGAIN, StartServer
from tests.integration.daemon import Daemon, wait_until
from tests.integration.test_redis_cli import run

ADMIN = "user admin on >secret ~* &* +@all\n"
FILE = ADMIN + "user default off\nuser ann on >mine ~ann:* resetchannels -@all +@read +@write\n"


def client(daemon: Daemon, **options: Any) -> redis.Redis:
    return redis.Redis(port=daemon.port, decode_responses=True, socket_timeout=10, retry=NEVER_AGAIN, **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "users.acl"
    path.write_text(FILE)
    return path


def test_a_password(server: StartServer) -> None:
    daemon = server("--requirepass=secret")
    with pytest.raises(redis.AuthenticationError, match="must be called with the client already authenticated"):
        client(daemon).set("k", "v")
    assert client(daemon, password="secret").set("k", "v")
    assert client(daemon, username="default", password="secret", protocol=3).get("k") == "v"
    with pytest.raises(redis.AuthenticationError, match="invalid username-password pair"):
        client(daemon, password="wrong").ping()
    assert run(daemon, "-a", "secret", "--no-auth-warning", "GET", "k") == "v\n"
    assert "secret" not in daemon.log()


def test_passwords_are_shown_nowhere(server: StartServer) -> None:
    """Not in the log, though it has everything, nor in what commands show: not even those of wrong calls."""
    daemon = server("--requirepass=hush-1")
    admin = client(daemon, password="hush-1")
    admin.config_set("slowlog-log-slower-than", "0")
    admin.config_set("loglevel", "debug")
    for line in (
        "AUTH hush-2",
        "AUTH default hush-3",
        "AUTH default hush-4 more",
        "HELLO 3 AUTH default hush-5",
        "HELLO 3 NOSUCH AUTH default hush-6",
        "HELLO AUTH default hush-7",
        "ACL SETUSER ann on >hush-8",
        "ACL SETUSER ann >hush-9 nosuch",
        "ACL DRYRUN ann AUTH ann hush-10",
        "ACL NOSUCH ann >hush-11",
        "CONFIG SET maxclients 100 requirepass hush-12 masterauth hush-13",
        "CONFIG SET nosuch 1 requirepass hush-14",
        "CONFIG SET requirepass hush-15 timeout",
        "EVAL redis.call('ping',ARGV[1]) 0 x",
        "NOSUCH hush-16",
    ):
        with contextlib.suppress(redis.RedisError):
            admin.execute_command(*line.split(" "))
    admin = client(daemon, password="hush-12")
    for command in ("SLOWLOG GET 1000", "CLIENT LIST", "ACL LOG", "ACL LIST", "INFO everything", "LATENCY LATEST"):
        assert "hush" not in str(admin.execute_command(*command.split(" "))), command
    daemon.stop()
    assert "hush" not in daemon.log()


def test_a_file_of_users(server: StartServer, path: Path) -> None:
    daemon = server(f"--aclfile={path}")
    with pytest.raises(redis.AuthenticationError):
        client(daemon).ping()
    admin, ann = client(daemon, username="admin", password="secret"), client(daemon, username="ann", password="mine")
    assert ann.set("ann:1", "v")
    with pytest.raises(redis.exceptions.NoPermissionError, match="No permissions to access a key"):
        ann.get("other")
    with pytest.raises(redis.exceptions.NoPermissionError, match=r"User ann .* run the 'config\|get'"):
        ann.config_get("*")
    assert admin.acl_whoami() == "admin"
    assert [entry["object"] for entry in admin.acl_log()][:2] == ["config|get", "other"]
    assert run(daemon, "--user", "ann", "--pass", "mine", "--no-auth-warning", "GET", "ann:1") == "v\n"
    assert [line["user"] for line in admin.client_list()].count("admin") == 1


def test_saved_users_are_there_again(server: StartServer, path: Path) -> None:
    """The file is replaced as a whole, and nobody else can read it."""
    daemon = server(f"--aclfile={path}")
    admin = client(daemon, username="admin", password="secret")
    admin.acl_setuser("bob", enabled=True, passwords=["+his"], commands=["+get"], keys=["b*"])
    assert admin.acl_save()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "his" not in path.read_text()
    admin.acl_deluser("bob")
    assert admin.acl_load()
    bob = client(daemon, username="bob", password="his")
    assert bob.get("b1") is None
    daemon.stop()
    daemon.start()
    assert client(daemon, username="bob", password="his").get("b1") is None


def test_load_ends_the_connections_of_those_that_have_changed(server: StartServer, path: Path) -> None:
    path.write_text(ADMIN + "user ann on >mine +@all\n")
    daemon = server(f"--aclfile={path}")
    admin, ann = client(daemon, username="admin", password="secret"), client(daemon, username="ann", password="mine")
    ids = [admin.client_id(), ann.client_id()]
    path.write_text(ADMIN + "user ann on >mine ~x* +@all\n")
    assert admin.acl_load()
    wait_until(lambda: ids[1] not in [int(line["id"]) for line in admin.client_list()], "ann's connection to end")
    assert admin.client_id() == ids[0]
    assert ann.get("x") is None
    assert client(daemon).ping(), "the default user is not in the file: he may do everything"


def test_a_wrong_file_is_refused_as_a_whole(server: StartServer, path: Path) -> None:
    daemon = server(f"--aclfile={path}")
    admin = client(daemon, username="admin", password="secret")
    path.write_text(FILE + "user eve on +nosuch\nuser mallory what\n")
    with pytest.raises(redis.ResponseError, match=r":4: Error in applying operation '\+nosuch'.*:5: Syntax error"):
        admin.acl_load()
    assert admin.acl_users() == ["admin", "ann", "default"]
    path.unlink()
    with pytest.raises(redis.ResponseError, match="opening file"):
        admin.acl_load()
    daemon.stop()
    assert "No such file or directory" in daemon.start_in_vain()
    path.write_text("user ann on >secret +nosuch\n")
    refused = daemon.start_in_vain()
    assert "users.acl:1: Error in applying operation '+nosuch'" in refused
    assert ">secret" not in refused


def test_a_directory_that_takes_no_file(server: StartServer, path: Path) -> None:
    daemon = server(f"--aclfile={path}")
    admin = client(daemon, username="admin", password="secret")
    path.unlink()
    path.mkdir()
    (path / "in the way").touch()
    with pytest.raises(redis.ResponseError, match="There was an error trying to save the ACLs"):
        admin.acl_save()
    assert [each.name for each in path.parent.iterdir() if ".tmp" in each.name] == []
    assert "the users could not be saved" in daemon.log()


def test_options_that_exclude_each_other(server: StartServer, path: Path) -> None:
    daemon = server()
    daemon.stop()
    daemon.options = (f"--aclfile={path}", "--requirepass=x")
    assert "exclude each other" in daemon.start_in_vain()


def test_commands_that_have_other_names_or_none(server: StartServer) -> None:
    """Also in MULTI and in scripts."""
    daemon = server("--rename-command=FLUSHALL=", "--rename-command=config=Secret-Config")
    plain = client(daemon)
    for words in (("FLUSHALL",), ("flushall",), ("CONFIG", "GET", "hz")):
        with pytest.raises(redis.ResponseError, match="unknown command"):
            plain.execute_command(*words)
    assert plain.execute_command("secret-config", "GET", "hz") == {"hz": "10"}
    with pytest.raises(redis.ResponseError, match="Unknown Redis command called from script"):
        plain.eval("return redis.call('flushall')", 0)
    with pytest.raises(redis.ResponseError, match="unknown subcommand"):
        plain.execute_command("SECRET-CONFIG", "nosuch")
    daemon.stop()
    daemon.options = ("--rename-command=nosuch=x",)
    assert "there is no command nosuch" in daemon.start_in_vain()
    daemon.options = ("--rename-command=get=SET",)
    assert "there is a command SET already" in daemon.start_in_vain()
