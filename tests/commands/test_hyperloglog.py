"""Commands on HyperLogLogs: rows that a real server answered the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keyp.algorithms import hll_registers as hll
from tests.fakes import Lab

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
NOT_ONE = "WRONGTYPE Key is not a valid HyperLogLog string value."
CORRUPTED = "INVALIDOBJ Corrupted HLL object detected"
MANY = " ".join(f"element{number}" for number in range(3000))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("PFADD k", 1),
        ("PFADD k; PFADD k", 0),
        ("PFADD k; GET k", b"HYLL\1" + bytes(10) + b"\x80\x7f\xff"),
        ("PFADD k a", 1),
        ("PFADD k a; PFADD k a", 0),
        ("PFADD k a; PFADD k a b", 1),
        ("PFADD k a; PFCOUNT k", 1),
        ("PFADD k a b c a; PFCOUNT k", 3),
        ("PFADD k a b; PFCOUNT k; PFADD k c; PFCOUNT k", 3),
        ("PFCOUNT nosuch", 0),
        ("PFCOUNT nosuch other", 0),
        ("PFADD a 1 2 3; PFADD b 3 4; PFCOUNT a b nosuch", 4),
        ("PFADD a 1 2 3; PFADD b 3 4; PFMERGE c a b", "OK"),
        ("PFADD a 1 2 3; PFADD b 3 4; PFMERGE c a b; PFCOUNT c", 4),
        ("PFADD a 1 2 3; PFADD b 3 4; PFMERGE a b; PFCOUNT a", 4),
        ("PFMERGE new; GET new", b"HYLL\1" + bytes(10) + b"\x80\x7f\xff"),
        ("PFMERGE new nosuch; PFCOUNT new", 0),
        ("PFADD k a; OBJECT ENCODING k", b"raw"),
        ("PFADD k a; EXPIRE k 9; PFADD k b; TTL k", 9),
        ("PFADD k a; EXPIRE k 9; PFMERGE k k; TTL k", 9),
        (f"PFADD k {MANY}; PFCOUNT k", 3035),
        (f"PFADD k {MANY}; STRLEN k", hll.DENSE_BYTES),
        (f"PFADD k {MANY}; PFADD k element1", 0),
        (f"PFADD k {MANY}; PFADD k x; PFCOUNT k", 3036),
        (f"PFADD k {MANY}; PFMERGE d k; STRLEN d", hll.DENSE_BYTES),
        (f"PFADD k {MANY}; PFADD s other; PFMERGE s k; PFCOUNT s", 3036),
        ("SET k ''; PFADD k a", NOT_ONE),
        ("SET k 12; PFCOUNT k", NOT_ONE),
        ("SET k HYLLHYLLHYLLHYLLHYLL; PFCOUNT k", NOT_ONE),
        ("SET k 12; PFCOUNT a k", NOT_ONE),
        ("SET k 12; PFMERGE a k; EXISTS a", 0),
        ("SET k 12; PFMERGE k a", NOT_ONE),
        ("PFSELFTEST", "OK"),
        ("PFDEBUG ENCODING k", "ERR The specified key does not exist"),
        ("PFADD k a; PFDEBUG encoding k", "sparse"),
        ("PFADD k a; PFDEBUG DECODE k", b"Z:12711 v:2,1 Z:3672"),
        ("PFADD k a; PFDEBUG x k", "ERR Unknown PFDEBUG subcommand 'x'"),
        ("PFADD k a; PFDEBUG TODENSE k", 1),
        ("PFADD k a; PFDEBUG TODENSE k; PFDEBUG TODENSE k", 0),
        ("PFADD k a; PFDEBUG TODENSE k; PFDEBUG ENCODING k", "dense"),
        ("PFADD k a; PFDEBUG TODENSE k; PFDEBUG DECODE k", "ERR HLL encoding is not sparse"),
        ("PFADD k a; PFDEBUG TODENSE k; PFCOUNT k", 1),
        ("PFADD", "ERR wrong number of arguments for 'pfadd' command"),
    ],
)
def test_reply(keyp: Any, script: str, expected: Any) -> None:
    assert keyp.script(script) == expected


def test_registers_to_look_at(keyp: Any) -> None:
    keyp.script("PFADD k a")
    found = keyp.answer("PFDEBUG GETREG k")
    assert (len(found), found[12711], sum(found)) == (hll.REGISTERS, 2, 2)
    assert keyp.answer("PFDEBUG ENCODING k") == "dense"


@pytest.mark.parametrize("command", ["PFADD l", "PFADD l a", "PFCOUNT l", "PFCOUNT a l", "PFMERGE a l", "PFMERGE l"])
def test_wrong_type(keyp: Any, command: str) -> None:
    keyp.plant_list(b"l")
    assert keyp.answer(command) == WRONG_TYPE
    assert keyp.answer("PFDEBUG ENCODING l") == WRONG_TYPE
    assert keyp.answer("EXISTS a") == 0


@pytest.mark.parametrize("command", ["PFADD k x", "PFCOUNT k", "PFCOUNT k k", "PFMERGE a k", "PFDEBUG GETREG k"])
def test_corrupted(keyp: Any, command: str) -> None:
    keyp.run("SET", "k", hll.EMPTY[: hll.HEADER_BYTES - 1] + b"\x80")
    assert keyp.answer(command) == CORRUPTED
    assert keyp.answer("EXISTS k a") == 1


def test_nothing_is_added_before_an_element_meets_the_damage(keyp: Any) -> None:
    data = hll.EMPTY[: hll.HEADER_BYTES] + b"\x70\x00"
    keyp.run("SET", "k", data)
    assert keyp.answer("PFADD k hello a") == CORRUPTED
    assert keyp.answer("GET k") == data


def test_a_cached_cardinality_is_believed_and_none_is_stored(keyp: Any) -> None:
    keyp.run("SET", "k", b"HYLL\1\0\0\0" + (77).to_bytes(8, "little") + b"\x7f\xff")
    assert keyp.answer("PFCOUNT k") == 77
    assert keyp.answer("PFCOUNT k k") == 0
    assert keyp.script("PFADD k a; PFCOUNT k") == 1
    before = keyp.answer("GET k")
    keyp.answer("PFCOUNT k")
    assert keyp.answer("GET k") == before


def test_many_at_once_keep_nobody_waiting(tmp_path: Path) -> None:
    """They are counted on a reader's thread."""
    lab = Lab(tmp_path)
    client = lab.connect()
    client.call("PFADD k a")
    assert client.call("PFCOUNT k k") == b":1\r\n"
    assert lab.reader_threads.done == 0
    assert client.call("PFCOUNT k k k k k k") == b":1\r\n"
    assert lab.reader_threads.done == 1
    lab.close()


def test_a_limit_for_sparse_ones(keyp: Any) -> None:
    keyp.shared.hll_sparse_max_bytes = 22
    assert keyp.script("PFADD k a; PFDEBUG ENCODING k") == "sparse"
    assert keyp.script("PFADD k b; PFDEBUG ENCODING k") == "dense"
    assert keyp.script("PFCOUNT k") == 2
    assert keyp.script("PFADD l b; PFDEBUG ENCODING l") == "sparse"
    assert keyp.script("PFADD m c; PFMERGE n l m; PFDEBUG ENCODING n") == "dense"
    assert keyp.script("PFCOUNT n") == 2
