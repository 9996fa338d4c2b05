"""Daemons on directories that a test has chosen, and file systems of their own to put them on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.integration.daemon import DEADLINE_S, Daemon

NO_MOUNT = "KEYP_NO_MOUNT"


@contextmanager
def daemon_on(data_dir: Path, beside: Path, *options: str) -> Iterator[Daemon]:
    """A daemon, not started yet, with its data in `data_dir` and its log in `beside`; ended in every case."""
    daemon = Daemon(beside, *options)
    daemon.data_dir = data_dir
    try:
        yield daemon
    finally:
        if daemon.running:
            daemon.kill()


def client_of(daemon: Daemon, **options: Any) -> redis.Redis:
    """A client that sees every error and never tries again by itself."""
    never_again = Retry(ConstantBackoff(0), 0)
    return redis.Redis(port=daemon.port, retry=never_again, socket_timeout=DEADLINE_S, **options)


def tool(name: str, package: str) -> str:
    """The path of a program that a test cannot do without; fails with what to install."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert path, f"{name} is missing: install Debian's package {package} (apt-get install {package})"
    return path


@contextmanager
def mounted(kind: str, megabytes: int, at: Path) -> Iterator[Path]:
    """A file system of this size: `tmpfs`, or `ext4` in a file. Fails with a sentence where it cannot be mounted."""
    if os.environ.get(NO_MOUNT) == "1":
        pytest.skip(f"{NO_MOUNT}=1 says that nothing can be mounted here")
    hint = f"mounting needs root (in a container --privileged); {NO_MOUNT}=1 leaves out the tests that need it"
    assert os.geteuid() == 0, hint
    place = at / "disk"
    place.mkdir()
    if kind == "tmpfs":
        command = [tool("mount", "mount"), "-t", "tmpfs", "-o", f"size={megabytes}m", "keyp-test", str(place)]
    else:
        image = at / "disk.image"
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run([tool("mkfs.ext4", "e2fsprogs"), "-q", "-F", str(image)], check=True)
        command = [tool("mount", "mount"), "-o", "loop", str(image), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr.strip()}: {hint}"
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@contextmanager
def read_only(file: Path) -> Iterator[None]:
    """A file on a file system that can be mounted at, which nobody can write to meanwhile."""
    subprocess.run(["mount", "--bind", str(file), str(file)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(file)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(file)], check=True)


def fill(path: Path, leave: int = 0) -> None:
    """Takes all room on the file system for a file, but for `leave` bytes."""
    with path.open("wb", buffering=0) as file:
        block = bytes(1 << 16)
        try:
            while True:
                file.write(block)
        except OSError:
            pass
        try:
            while file.write(b"x" * 512):
                pass
        except OSError:
            pass
        size = file.seek(0, os.SEEK_END)
        file.truncate(max(0, size - leave))
        os.fsync(file.fileno())
