"""Small random programs of Lua: they end, for their loops are short; their values are of every type there is."""

from __future__ import annotations

from typing import Final

from tests.differential.lua_programs import literal
from tests.fuzz.source import Source

VALUES: Final = (
    "nil", "true", "false", "0", "1", "-1", "3.7", "2^53", "-2^63", "0/0", "1/0", "1e308*10", "''", "'a'", "'10'",
    "{}", "{1,2,3}", "{1,nil,3}", "{a=1}", "{ok='x'}", "{err='E x'}", "{double=1.5}", "{map={a=1}}", "{set={a=true}}",
    "{[1.5]=1}", "{[2^40]=1}", "{big_number='12'}", "{verbatim_string={string='x',format='txt'}}", "{{{{}}}}",
    "cjson.null", "redis.sha1hex", "print", "KEYS", "ARGV", "KEYS[1]", "ARGV[1]", "r", "t", "#t", "'\\0\\r\\n'",
    "string.rep('x', 70000)", "coroutine.create(print)", "math.huge", "_G", "redis", "{err='a\\r\\nb'}", "{ok='a\\nb'}",
)  # fmt: skip
FUNCTIONS: Final = (
    "tostring", "tonumber", "type", "pcall", "error", "cjson.encode", "cjson.decode", "cmsgpack.pack", "unpack",
    "cmsgpack.unpack", "cmsgpack.unpack_one", "cmsgpack.unpack_limit", "struct.pack", "struct.unpack", "struct.size",
    "bit.band", "bit.tohex", "bit.lshift", "bit.bswap", "redis.error_reply", "redis.status_reply", "redis.sha1hex",
    "redis.log", "redis.setresp", "redis.acl_check_cmd", "redis.set_repl", "string.format", "string.byte",
    "string.char", "string.gsub", "string.find", "table.concat", "table.insert", "table.remove", "table.sort", "next",
    "pairs", "ipairs", "select", "rawget", "rawset", "rawequal", "setmetatable", "getmetatable", "loadstring",
    "math.random", "math.randomseed", "math.floor", "math.fmod", "os.clock", "coroutine.wrap", "coroutine.resume",
    "assert", "xpcall", "cjson.encode_max_depth", "cjson.encode_sparse_array", "cjson.encode_number_precision",
    "redis.register_function", "redis.breakpoint", "redis.debug", "redis.replicate_commands", "load", "newproxy",
    "string.dump", "string.rep", "collectgarbage", "setfenv", "getfenv",
)  # fmt: skip
TEXTS: Final = (
    b'{"a":[1,2,{"b":null}],"c":1e400}', b"[[[[1]]]]", b"\"\\ud83d\\ude00\\u0000\"", b"[1,", b"nul", b"0x1p3", b"-",
    b"\x93\x01\xc0\xa1a", b"\xdd\xff\xff\xff\xff", b"\xc6\x7f\xff\xff\xff", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x81\xa1a\xc3", b"\xd4\x01\x02", b">I4!8d", b"c0sB", b"%s %d %q", b"%5.3f", b"(a*)*b", b"%b()", b"return 1",
    b"\x1bLua", b"!999", b"i33",
)  # fmt: skip


def expression(source: Source, depth: int = 0) -> str:
    """A value."""
    form = source.below(6)
    if form <= 1 or depth > 2:
        return source.choice(VALUES)
    if form == 2:
        return literal(source.choice(TEXTS) if source.chance(60) else source.text(24))
    if form == 3:
        return f"{{{expression(source, depth + 1)}, x = {expression(source, depth + 1)}}}"
    arguments = [expression(source, depth + 1) for _ in range(source.below(4))]
    return f"{source.choice(FUNCTIONS)}({', '.join(arguments)})"


def program(source: Source, calls: list[list[bytes]]) -> bytes:
    """A script that makes these calls, among other things."""
    lines = ["local t, r = {1, 'b', {}}"]
    for call in calls:
        words = ", ".join([literal(word) for word in call])
        lines.append(f"r = redis.{source.choice(('pcall', 'call'))}({words})")
        lines.append("t[#t + 1] = r")
    for _ in range(source.below(4)):
        form = source.below(6)
        value = expression(source)
        if form == 0:
            lines.append(f"for i = 1, 3 do t[i] = {value} end")
        elif form == 1:
            lines.append(f"r = select(2, pcall(function() return {value} end))")
        elif form == 2:
            lines.append("t[2] = t")
        elif form == 3:
            lines.append(f"redis.setresp({2 + source.below(2)})")
        elif form == 4:
            lines.append(f"if r then r = {value} end")
        else:
            lines.append(f"r = {value}")
    lines.append("return " + source.choice(("r", "t", "{r}", expression(source), "redis.pcall('GET', KEYS[1] or 's')")))
    shebang = source.choice(("", "", "", "#!lua\n", "#!lua flags=no-writes\n", "#!lua flags=allow-oom,x\n", "#!js\n"))
    return (shebang + "\n".join(lines)).encode("latin-1")


def library(source: Source, calls: list[list[bytes]]) -> bytes:
    """A library of functions that do what a script does."""
    body = program(source, calls).partition(b"local t")
    text = body[1] + body[2]
    if source.chance(50):
        register = b"redis.register_function('f', function(KEYS, ARGV)\n%b\nend)" % text
    else:
        register = (
            b"redis.register_function{function_name='g', flags={'no-writes'}, callback=function(KEYS, ARGV)\n%b\nend}"
        ) % text
    name = source.choice((b"l", b"l", b"m", b"", b"a b"))
    return b"#!lua name=%b\n%b" % (name, register)
