"""What scripts can not do: reach Python, the system, each other, or more memory than there is for them.

Each escape is an error, and the runtime does what it did before.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.errors import CommandError
from keyp.resp.values import Reply, ReplyError
from keyp.scripting.errors import CallError, Killed, ScriptFailed
from keyp.scripting.runtime import Runtime
from keyp.scripting.script import digest, read_script

MEGABYTE = 1 << 20


class Commands:
    """ECHO, FAIL (an error), BREAK (a defect) and LONG (a reply of a megabyte); the script is due after some looks."""

    def __init__(self) -> None:
        self.looks = 0
        self.looks_max = 20
        self.logged: list[tuple[int, bytes]] = []

    def call(self, words: list[bytes]) -> Reply:
        name = words[0].upper()
        if name == b"ECHO":
            return words[1]
        if name == b"FAIL":
            return ReplyError("ERR it failed")
        if name == b"LONG":
            return bytes(MEGABYTE)
        if name == b"BREAK":
            raise ZeroDivisionError
        raise CallError("ERR Unknown Redis command called from script")

    def log(self, level: int, message: bytes) -> None:
        self.logged.append((level, message))

    def is_known(self, words: list[bytes]) -> bool:
        return True

    def is_due(self) -> bool:
        self.looks += 1
        return self.looks > self.looks_max

    def seed(self) -> int:
        return 1


class Lua:
    """A runtime with little memory, and what runs on it."""

    def __init__(self) -> None:
        self.runtime = Runtime("7.2.5", memory_max=8 * MEGABYTE)
        self.commands = Commands()

    def run(self, text: str | bytes, *keys: bytes) -> Reply:
        data = text if isinstance(text, bytes) else text.encode()
        function = self.runtime.compile(read_script(digest(data), data))
        self.commands.looks = 0
        return self.runtime.run(function, list(keys), [], self.commands)

    def error(self, text: str | bytes) -> str:
        try:
            self.run(text)
        except (ScriptFailed, CommandError) as error:
            return error.text
        raise AssertionError(f"{text!r} is no error")

    def works(self) -> bool:
        """Whether it still is what it was."""
        return (
            self.run("return {redis.call('echo', 'a'), type(string.rep), tostring(rawget(_G, 'leak'))}")
            == [b"a", b"function", b"nil"]
            and self.error("return leak").endswith("nonexistent global variable 'leak'")
            and self.runtime.memory < 4 * MEGABYTE  # a stack that has grown shrinks by and by
        )


@pytest.fixture(scope="module")
def lua() -> Lua:
    return Lua()


@pytest.fixture(autouse=True)
def nothing_is_left(lua: Lua) -> Iterator[None]:
    yield
    assert lua.works()


@pytest.mark.parametrize(
    "name",
    ["os", "io", "debug", "require", "package", "module", "dofile", "loadfile", "print", "python", "newproxy",
     "setfenv", "getfenv", "host", "__redis__err__handler"],
)  # fmt: skip
def test_what_is_not_there(lua: Lua, name: str) -> None:
    assert lua.error(f"return {name}").endswith(f"nonexistent global variable '{name}'")
    assert lua.run(f"return tostring(rawget(_G, '{name}'))") == b"nil"


@pytest.mark.parametrize(
    "text",
    [
        "leak = 1",
        "redis = {}",
        "redis.call = nil",
        "string.rep = nil",
        "_G.leak = 1",
        "_G._G = 1",
        "rawset(_G, 'leak', 1)",
        "rawset(redis, 'call', 1)",
        "rawset(string, 'rep', 1)",
        "setmetatable(_G, {})",
        "setmetatable(redis, nil)",
        "getmetatable(_G).__index = nil",
        "rawset(getmetatable(_G), '__index', nil)",
        "getmetatable('').__index = nil",
        "getmetatable('').__add = 1",
        "rawset(getmetatable(''), '__index', 1)",
        "setmetatable(getmetatable(''), {})",
        "table.insert(string, 'leak')",
        "table.insert(_G, 'leak')",
        "table.setn(redis, 5)",
        "loadstring('leak = 1')()",
        "load(function() local t = leaked; leaked = nil; return nil end)() leak = 1",
        "coroutine.wrap(function() leak = 1 end)()",
        "xpcall(function() leak = 1 end, function(e) leak = 2 end) error('x')",
        "local t = setmetatable({}, {__newindex = _G}) t.leak = 1",
        "table.foreach(_G, function(k, v) _G[k] = nil end)",
        "for k in pairs(_G) do _G[k] = nil end",
        "cjson.encode = nil",
        "coroutine.wrap = nil",
        "bit.band = nil",
    ],
)
def test_nothing_of_all_scripts_changes(lua: Lua, text: str) -> None:
    lua.error(text)


@pytest.mark.parametrize(
    "text",
    [
        "KEYS[1] = 'leak' KEYS.x = 1 return 1",
        "table.insert(KEYS, 'leak') return 1",
        "cjson.new().encode = 1 return 1",
        "getmetatable(setmetatable({}, {__index = 1})).x = 1 return 1",
        "collectgarbage('stop') return 1",
        "collectgarbage('setpause', 100000) return 1",
        "cjson.encode_max_depth(1) return 1",
        "cjson.encode_number_precision(1) return 1",
        "math.randomseed(5) return 1",
        "redis.setresp(3) return 1",
    ],
)
def test_what_a_script_changes_ends_with_it(lua: Lua, text: str) -> None:
    shown = (
        "return {#KEYS, tostring(KEYS.x), cjson.encode({{1.55}}), tostring(math.random()), "
        "type(redis.call('echo', 'a')), type(cjson.encode)}"
    )
    before = lua.run(shown)
    assert lua.run(text, b"k") == 1
    assert lua.run(shown) == before


BYTECODE = "string.dump(function() return 1 end)"


@pytest.mark.parametrize(
    "text",
    [
        f"return loadstring({BYTECODE})()",
        f"return loadstring({BYTECODE}, '@x')()",
        f"local d = {BYTECODE} local n = 0 return load(function() n = n + 1 if n == 1 then return d end end)()",
        f"local d, n = {BYTECODE}, 0 return load(function() n = n + 1 return n <= #d and d:sub(n, n) or nil end)()",
        f"return loadstring('\\27' .. {BYTECODE}:sub(2))()",
    ],
)
def test_bytecode_is_not_taken(lua: Lua, text: str) -> None:
    lua.error(text)
    with pytest.raises(CommandError, match="Error compiling script"):
        lua.run(b"\x1bLuaQ\x00\x01\x04\x08\x04\x08\x00")


def test_no_object_of_python_reaches_a_script(lua: Lua) -> None:
    for catch in (
        "local _, e = pcall(redis.call, 'fail')",
        "local e; xpcall(function() redis.call('fail') end, function(x) e = x end)",
        "local _, e = xpcall(function() redis.call('fail') end, function(x) return x end)",
        "local _, e = coroutine.resume(coroutine.create(function() redis.call('fail') end))",
        "local _, e = pcall(coroutine.wrap(function() redis.call('fail') end))",
        "local _, e = pcall(string.gsub, 'a', 'a', function() redis.call('fail') end)",
        "local _, e = pcall(table.sort, {1, 2}, function() redis.call('fail') end)",
        "local _, e = load(function() redis.call('fail') end)",
        "local _, e = pcall(table.foreach, {1}, function() redis.call('fail') end)",
        "local _, e = pcall(function() return setmetatable({}, {__index = redis.call}).fail end)",
        "local _, e = pcall(bit.band, {})",
        "local e = redis.call",
        "local e = redis.sha1hex",
        "local e = redis.pcall('fail')",
    ):
        assert lua.run(f"{catch} return type(e) == 'userdata' and 1 or 0") == 0, catch


@pytest.mark.parametrize(
    "catch",
    [
        "pcall(redis.call, 'break')",
        "pcall(function() redis.call('break') end)",
        "xpcall(function() redis.call('break') end, function() end)",
        "coroutine.resume(coroutine.create(function() redis.call('break') end))",
        "pcall(coroutine.wrap(function() redis.call('break') end))",
        "load(function() redis.call('break') end)",
        "redis.pcall('break')",
        "while true do pcall(redis.call, 'break') end",
    ],
)
def test_a_defect_ends_the_script_whatever_it_catches(lua: Lua, catch: str) -> None:
    with pytest.raises(ZeroDivisionError):
        lua.run(f"{catch} return 1")


@pytest.mark.parametrize(
    "text",
    [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "local function f() return pcall(f) end while true do f() end",
        "repeat until string.rep('a', 1e9) and false",
        "setmetatable({}, {__index = function() while true do end end}).x()",
        "table.sort({1, 2, 3}, function() while true do end end)",
        "string.gsub('a', 'a', function() while true do end end)",
        "load(function() while true do end end)",
    ],
)
def test_a_script_that_is_due_ends(lua: Lua, text: str) -> None:
    with pytest.raises((Killed, ScriptFailed)):
        lua.run(text)


@pytest.mark.parametrize(
    "text",
    [
        "return string.rep('x', 1e9)",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local t = {} for i = 1, 1e9 do t[i] = redis.call('long') .. i end",
        "local t = {} pcall(function() for i = 1, 1e9 do t[i] = {} end end) return redis.call('echo', 'a')",
        "local t = {} pcall(function() for i = 1, 1e9 do t[i] = {} end end) return {{{}}}",
        "return string.gsub(string.rep('a', 1e6), 'a', string.rep('b', 1e6))",
        "return string.format('%s%s', string.rep('a', 7e6), string.rep('b', 7e6))",
        "return table.concat({string.rep('a', 3e6), string.rep('a', 3e6), string.rep('a', 3e6)})",
        "local function f(...) f(1, ...) end f()",
        "return {unpack({}, 1, 1e7)}",
        "return cjson.decode(string.rep('[', 1e6))",
        "local t = {} for i = 1, 2000 do t = {t} end return cjson.encode(t)",
        "return struct.pack('i33', 1)",
        "return string.find('a', string.rep('a?', 20000))",
        "return string.match('a', string.rep('(a', 20000))",
        "return string.gsub('a', string.rep('a-', 20000), '')",
        "local function f() return 1 + f() end return f()",
        "return loadstring(string.rep('(', 1000) .. '1' .. string.rep(')', 1000))()",
        "local f = coroutine.wrap(function() end) f() f()",
        "local function f() return coroutine.wrap(f)() end f()",
        "local function f() local a, b = coroutine.resume(coroutine.create(f)) if not a then error(b, 0) end end f()",
        "local function f() return pcall(f) end error(tostring(f()))",
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k + 1] end return t[1]",
        "local t = setmetatable({}, {__tostring = function(t) return tostring(t) end}) return tostring(t)",
    ],
)
def test_bombs_end_in_an_error(lua: Lua, text: str) -> None:
    lua.commands.looks_max = 1000
    assert lua.error(text)
    lua.commands.looks_max = 20


@pytest.mark.parametrize(
    "call",
    [
        "redis.call('echo', 'a')",
        "redis.pcall('fail')",
        "redis.error_reply('a b')",
        "redis.status_reply('a')",
        "redis.sha1hex('a')",
        "redis.setresp(9)",
        "redis.log(1, 'a')",
        "redis.acl_check_cmd('a')",
        "redis.set_repl(99)",
        "bit.tohex(1)",
        "bit.band({})",
        "struct.pack('c0', ('x'):rep(1000))",
        "struct.unpack('c100', ('x'):rep(1000))",
        "cmsgpack.pack(0.1)",
        "cmsgpack.unpack('\\203\\1\\1\\1\\1\\1\\1\\1\\1')",
        "redis.call({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})",
        "math.random()",
        "error('x')",
    ],
)
def test_no_memory_is_left_for_python(lua: Lua, call: str) -> None:
    """What Python pushes must not be what runs out of memory: that would jump over its frames."""
    fill = "local t, n = {}, 0 pcall(function() while true do n = n + 1 t[n] = {} end end) "
    more = "local s = {} pcall(function() for i = 1, 1e6 do t[n] = {} n = n - 1 s[i] = i .. 'x' end end) "
    for text in (fill, fill + more):
        with suppress(ScriptFailed, Killed):
            lua.run(f"{text} for i = 1, 100 do pcall(function() {call} end) end {call} return 1")


def test_a_reply_nests_only_so_deep(lua: Lua) -> None:
    reply = lua.run("local t = {} t[1] = t return t")
    depth = 0
    while isinstance(reply, list):
        reply, depth = reply[0], depth + 1
    assert isinstance(reply, ReplyError)
    assert reply.text == "ERR reached lua stack limit"
    assert depth > 100


def test_long_keys_have_room(lua: Lua) -> None:
    assert lua.run("return #KEYS[1]", bytes(9 * MEGABYTE)) == 9 * MEGABYTE


WORDS = [
    "_G", "redis", "string", "table", "pcall", "xpcall", "error", "setmetatable", "getmetatable", "rawset", "rawget",
    "next", "pairs", "coroutine", "wrap", "create", "resume", "yield", "load", "loadstring", "dump", "call", "cjson",
    "cmsgpack", "struct", "bit", "function", "end", "return", "local", "x", "y", "(", ")", "{", "}", "[", "]", ".", ",",
    "=", "'echo'", "'fail'", "1", "nil", "...", "#", "..", ":", "__index", "__newindex", "__call", "for", "in", "do",
    "if", "then", "tostring", "select", "unpack", "while", "true", "collectgarbage", "gsub", "sort", "KEYS",
]  # fmt: skip


@given(text=st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join) | st.text(string.printable, max_size=40))
def test_any_text_runs_or_is_an_error(lua: Lua, text: str) -> None:
    with suppress(ScriptFailed, CommandError, Killed):
        lua.run(text)
    assert lua.run("return {type(redis.call), tostring(rawget(_G, 'x'))}") == [b"function", b"nil"]


@given(data=st.binary(max_size=60), name=st.sampled_from(["cjson.decode", "cmsgpack.unpack", "loadstring"]))
def test_any_bytes_are_read_or_refused(lua: Lua, data: bytes, name: str) -> None:
    text = f"local ok = pcall({name}, KEYS[1]) return type(ok)"
    assert lua.run(text, data) == b"boolean"


@given(layout=st.text("<>! bBhHlLTiIxfdsc0123456789Z", max_size=8), data=st.binary(max_size=20))
def test_any_layout_is_read_or_refused(lua: Lua, layout: str, data: bytes) -> None:
    lua.run(f"pcall(struct.unpack, '{layout}', KEYS[1]) pcall(struct.pack, '{layout}', 1, 2, 'a') return 1", data)


def test_a_defect_is_not_taken_for_a_lack_of_memory(lua: Lua, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(level: int, message: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(lua.commands, "log", fail)
    with pytest.raises(ZeroDivisionError):
        lua.run("pcall(redis.log, 3, 'x') return 1")
