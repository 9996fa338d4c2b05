"""Random scripts of several steps, as texts of Lua: calls, what is made of their replies, and what is returned.

Each call's words are literals, keys and arguments of the script, or what an earlier call has replied. So a script meets
every reply as a value of Lua, and hands values of Lua to commands and to its client.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Any

from hypothesis import strategies as st

from tests.differential.calls_scripts import CALL
from tests.differential.words import Strategy

KEYS = [b"a", b"b"]
ARGUMENTS = [b"1", b"x", b"3.5"]
PLACES = {b"a": "KEYS[1]", b"b": "KEYS[2]", b"1": "ARGV[1]"}
STEPS_MAX = 4

# What is made of `r`, the reply to a call, or of `all`, the list of them.
BETWEEN = [
    "",
    "if type(r) == 'number' then r = r + 1 end",
    "if type(r) == 'table' and r.err then r = r.err end",
    "if type(r) == 'table' and #r > 1 then r = {r[2], r[1]} end",
    "if not r then r = 'nothing' end",
    "r = {r, {r}}",
    "r = type(r)",
    "r = cjson.encode({r})",
    "r = cmsgpack.unpack(cmsgpack.pack(r))",
    "r = tostring(type(r) ~= 'table' and r)",
    "if r == 1 then return redis.status_reply('early') end",
    "if type(r) == 'table' and r.ok then return redis.error_reply('MY ' .. r.ok) end",
    "for i = 1, 3 do redis.pcall('append', 'loop', i) end",
    "redis.setresp(3)",
    "redis.setresp(2)",
]
ENDS = [
    "return all",
    "return all[1]",
    "return all[#all]",
    "return #all",
    "return {all[1], 'x', 1.9, true, false, all[2]}",
    "return {double = 3.25}",
    "return {map = {k = all[1]}}",
    "return {ok = 'fine'}",
    "return {err = 'BAD thing'}",
    "error(all[1])",
    "error({err = 'OWN error'})",
    "return pcall(function() return redis.call('lpush', KEYS[1], 1) end)",
    "",
]


def literal(word: bytes) -> str:
    """A word as a string of Lua."""
    return (
        '"'
        + "".join([f"\\{byte:03d}" if byte < 32 or byte > 126 or byte in b'"\\' else chr(byte) for byte in word])
        + '"'
    )


@st.composite
def programs(draw: st.DrawFn) -> bytes:
    """Texts of scripts."""
    lines = ["local all, r = {}"]
    for number in range(draw(st.integers(1, STEPS_MAX))):
        words = [PLACES[word] if word in PLACES and draw(st.booleans()) else literal(word) for word in draw(CALL)]
        if number and len(words) > 1 and draw(st.integers(0, 3)) == 0:
            words[-1] = "(type(r) ~= 'table' and type(r) ~= 'boolean' and r) or 'none'"
        call = draw(st.sampled_from(["call", "pcall", "pcall"]))
        lines += [f"r = redis.{call}({', '.join(words)})", draw(st.sampled_from(BETWEEN)), "all[#all + 1] = r"]
    lines.append(draw(st.sampled_from(ENDS)))
    return "\n".join(lines).encode("latin-1")


def library(program: bytes) -> bytes:
    """A library of one function, `f`, that does what a script does."""
    return b"#!lua name=l\nredis.register_function('f', function(KEYS, ARGV)\n%b\nend)" % program


BEHIND = [b"2", *KEYS, *ARGUMENTS]


@st.composite
def runs(draw: st.DrawFn, program: bytes) -> list[Any]:
    """Calls that run a program in one way or another, or make it known or unknown."""
    digest = sha1(program).hexdigest().encode()
    calls: Strategy = st.sampled_from(
        [
            [b"EVAL", program, *BEHIND],
            [b"EVAL", program, *BEHIND],
            [b"EVAL_RO", program, *BEHIND],
            [b"EVAL", b"#!lua flags=no-writes\n" + program, *BEHIND],
            [b"EVALSHA", digest, *BEHIND],
            [b"EVALSHA", digest.upper(), *BEHIND],
            [b"EVALSHA_RO", digest, *BEHIND],
            [b"SCRIPT", b"FLUSH"],
            [b"SCRIPT", b"LOAD", program],
            [b"SCRIPT", b"EXISTS", digest],
            [b"FUNCTION", b"LOAD", b"REPLACE", library(program)],
            [b"FCALL", b"f", *BEHIND],
            [b"FCALL_RO", b"f", *BEHIND],
        ]
    )
    return list(draw(calls))
