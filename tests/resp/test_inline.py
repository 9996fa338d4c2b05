"""Rows of a line and its arguments, and two properties: quoting is undone; without quotes, white space cuts.

The oracle was redis-server 7.0.15. Valkey 9 takes text behind a closing quote, and a quote escaped at the very end of a
line for a closing one; Keyp refuses both, as Redis 7 does.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyp.resp.inline import split_inline

ROWS: list[tuple[bytes, list[bytes] | None]] = [
    (b"", []),
    (b" \t\v\f\r ", []),
    (b"PING", [b"PING"]),
    (b"  SET\tkey  value ", [b"SET", b"key", b"value"]),
    (b"a\rb", [b"a", b"b"]),
    (b"a\vb\fc", [b"a\vb\fc"]),
    (b"\va", [b"a"]),
    (b"\xff\xfe", [b"\xff\xfe"]),
    (b'""', [b""]),
    (b"''", [b""]),
    (b'"" \'\' ""', [b"", b"", b""]),
    (b'"a b"', [b"a b"]),
    (b"'a b'", [b"a b"]),
    (b'a"b c"', [b"ab c"]),
    (b"a'b c'", [b"ab c"]),
    (b'"a"\v"b"', [b"a", b"b"]),
    (b'"it\'s"', [b"it's"]),
    (b"'say \"hi\"'", [b'say "hi"']),
    (b'"\\n\\r\\t\\b\\a"', [b"\n\r\t\b\a"]),
    (b'"\\"\\\\\\q\\\'"', [b"\"\\q'"]),
    (b'"\\x00\\xfF\\x41"', [b"\x00\xffA"]),
    (b'"\\x4"', [b"x4"]),
    (b'"\\xg0"', [b"xg0"]),
    (b'"\\X41"', [b"X41"]),
    (b"'\\n\\x41\\\\ '", [b"\\n\\x41\\\\ "]),
    (b"'it\\'s'", [b"it's"]),
    (b"a\\nb", [b"a\\nb"]),
    (b"\\", [b"\\"]),
    (b'"', None),
    (b"'", None),
    (b'a "b', None),
    (b'a"', None),
    (b"a 'b", None),
    (b'"a\\"', None),
    (b'"a\\', None),
    (b"'a\\'", None),
    (b"'a\\", None),
    (b'"\\x4', None),
    (b'"a"b', None),
    (b'"a""b"', None),
    (b"'a'b", None),
    (b"'a'\"b\"", None),
]


@pytest.mark.parametrize(("line", "args"), ROWS)
def test_rows(line: bytes, args: list[bytes] | None) -> None:
    assert split_inline(line) == args


@pytest.mark.parametrize(("line", "args"), ROWS)
def test_rows_behind_another_argument(line: bytes, args: list[bytes] | None) -> None:
    assert split_inline(b"'first one' " + line) == (None if args is None else [b"first one", *args])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary()))
def test_quoted_arguments_come_back(args: list[bytes]) -> None:
    double_quoted = [b'"%b"' % b"".join(b"\\x%02x" % byte for byte in arg) for arg in args]
    single_quoted = [b"'%b'" % arg.replace(b"'", b"\\'") for arg in args]
    assert split_inline(b" ".join(double_quoted)) == args
    if not any(arg.endswith(b"\\") or b"\\'" in arg for arg in args):
        assert split_inline(b"\t".join(single_quoted)) == args


@settings(max_examples=200, deadline=None)
@given(st.binary())
def test_without_quotes_it_is_cut_at_white_space(line: bytes) -> None:
    plain = bytes(byte for byte in line if byte not in b"\"'\v\f")
    assert split_inline(plain) == plain.split()
