"""Glob patterns: rows whose answers were compared with a real server's KEYS, and what the shortcuts promise."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.algorithms.glob import Glob
from tests.integration.daemon import COMPILED

# (pattern, names that fit, names that do not)
ROWS = [
    (b"", [b""], [b"a"]),
    (b"abc", [b"abc"], [b"", b"ab", b"abcd", b"ABC"]),
    (b"*", [b"", b"a", b"a\nb\x00\xff"], []),
    (b"**", [b"a"], [b""]),
    (b"?", [b"a", b"\n", b"\xff"], [b"", b"ab"]),
    (b"a*", [b"a", b"ab", b"a*"], [b"", b"ba"]),
    (b"*a", [b"a", b"ba", b"aa"], [b"", b"ab"]),
    (b"*b*", [b"b", b"abc"], [b"", b"ac"]),
    (b"a*a", [b"aa", b"aba"], [b"a", b"ab"]),
    (b"*ab*ab*", [b"abab", b"xabyabz"], [b"ab", b"aba"]),
    (b"h?llo", [b"hello", b"h?llo"], [b"hllo", b"heello"]),
    (b"h[ae]llo", [b"hello", b"hallo"], [b"hillo", b"hllo"]),
    (b"h[^e]llo", [b"hallo", b"h^llo"], [b"hello"]),
    (b"h[a-c]llo", [b"hallo", b"hbllo", b"hcllo"], [b"hdllo", b"h-llo"]),
    (b"h[c-a]llo", [b"hallo", b"hbllo", b"hcllo"], [b"hdllo", b"h-llo"]),
    (b"[]a]", [], [b"]", b"a", b"]a]", b""]),
    (b"[]", [], [b"", b"]", b"[]"]),
    (b"[^]", [b"x", b"]"], [b"", b"xx"]),
    (b"[^", [b"x", b"^"], [b""]),
    (b"[", [], [b"", b"["]),
    (b"[abc", [b"a", b"c"], [b"d", b"[abc"]),
    (b"[abc*", [b"a", b"*"], [b"ab", b"d"]),
    (b"[a-", [b"a", b"-"], [b"b"]),
    (b"[a-]", [b"]", b"^", b"a"], [b"-", b"b"]),
    (b"[-a]", [b"-", b"a"], [b"b"]),
    (b"[\\]]", [b"]"], [b"\\"]),
    (b"[a\\-c]", [b"a", b"-", b"c"], [b"b", b"\\"]),
    (b"[\\", [b"\\"], [b""]),
    (b"[*]", [b"*"], [b"a"]),
    (b"\\*", [b"*"], [b"a", b"\\*"]),
    (b"\\a", [b"a"], [b"\\a"]),
    (b"a\\", [b"a\\"], [b"a"]),
    (b"\\\\", [b"\\"], [b"\\\\"]),
    (b"]", [b"]"], []),
    (b"[\x80-\xff]", [b"\x80", b"\xff"], [b"\x7f"]),
    (b"[a-\xff]", [b"\xff", b"a", b"\x00"], [b"b", b"\x80"]),
    (b"a*[0-9]?", [b"a1x", b"axx12"], [b"a1", b"axx"]),
    (b"*[0-9]*[0-9]*", [b"12", b"a1b2c"], [b"1", b"a1b"]),
]


@pytest.mark.parametrize(("pattern", "fit", "differ"), ROWS)
def test_matches(pattern: bytes, fit: list[bytes], differ: list[bytes]) -> None:
    glob = Glob(pattern)
    assert [name for name in fit if not glob.matches(name)] == []
    assert [name for name in differ if glob.matches(name)] == []


@pytest.mark.parametrize(
    ("pattern", "prefix", "is_literal"),
    [
        (b"", b"", True),
        (b"user:1", b"user:1", True),
        (b"user:\\*", b"user:*", True),
        (b"user:*", b"user:", False),
        (b"user:?x", b"user:", False),
        (b"us[e]r", b"us", False),
        (b"*x", b"", False),
    ],
)
def test_prefix(pattern: bytes, prefix: bytes, is_literal: bool) -> None:
    glob = Glob(pattern)
    assert (glob.prefix, glob.is_literal) == (prefix, is_literal)


def test_without_regard_to_case() -> None:
    glob = Glob(b"Max[M-P]*Y", ignore_case=True)
    assert glob.matches(b"maxmemory-policy")
    assert glob.matches(b"MAXMEMORY")
    assert not glob.matches(b"maxq-y")
    assert glob.prefix == b""
    assert not Glob(b"max", ignore_case=True).is_literal


@given(st.binary(max_size=12))
def test_every_name_fits_its_own_escaped_pattern(name: bytes) -> None:
    glob = Glob(b"".join(b"\\%c" % byte for byte in name))
    assert glob.is_literal
    assert glob.prefix == name
    assert glob.matches(name)


@given(st.text("ab*?", max_size=12), st.text("ab", min_size=1, max_size=12))
def test_agrees_with_the_regular_expression(pattern: str, name: str) -> None:
    expression = pattern.replace("*", ".*").replace("?", ".")
    assert Glob(pattern.encode()).matches(name.encode()) == bool(re.fullmatch(expression, name))


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_any_bytes_are_a_pattern(pattern: bytes, name: bytes) -> None:
    glob = Glob(pattern)
    if glob.matches(name):
        assert name.startswith(glob.prefix)


class Looks(bytes):
    """A name that counts how many of its bytes are looked at."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:
        Looks.looks += 1
        return bytes(self)[place]

    def startswith(self, literal: Any, start: Any = 0, stop: Any = None) -> bool:
        Looks.looks += len(literal)
        return bytes(self).startswith(literal, start)

    def find(self, literal: Any, start: Any = 0, stop: Any = None) -> int:
        found = bytes(self).find(literal, start, stop)
        Looks.looks += (found + len(literal) if found >= 0 else stop) - start
        return found


@pytest.mark.skipif(COMPILED, reason="compiled code reads bytes without asking their class")
@pytest.mark.parametrize("size", [500, 2000])
@pytest.mark.parametrize(
    ("repeated", "rest"),
    [("*?", ""), ("*?", "b"), ("*a", "b"), ("a*", "b"), ("*[ab]", "b"), ("*?a", "b"), ("*a?*", "c"), ("*[^c]b", "c*")],
)
def test_many_stars_look_at_each_byte_once(repeated: str, rest: str, size: int) -> None:
    """Redis's own regressions, "very long nested loops" among them."""
    assert looks(repeated * size + rest, size) <= size + 4


@pytest.mark.skipif(COMPILED, reason="compiled code reads bytes without asking their class")
@pytest.mark.parametrize("size", [500, 2000])
@pytest.mark.parametrize("pattern", ["*?{}b*", "*{}?b*", "*[^b]{}b*", "*?{}b*?{}b*", "[a]*{}b?*"])
def test_long_segments_look_at_each_byte_once(pattern: str, size: int) -> None:
    assert looks(pattern.replace("{}", "a" * (size // 4)), size) <= size + 4


def looks(pattern: str, size: int) -> int:
    """How many bytes of a name of that size are looked at, at most."""
    found = []
    for name in (b"a" * size, b"ab" * (size // 2)):
        Looks.looks = 0
        Glob(pattern.encode()).matches(Looks(name))
        found.append(Looks.looks)
    return max(found)
