"""All targets of the fuzzer."""

from __future__ import annotations

from typing import Final

from tests.fuzz.target import Target

REQUEST_WORDS: Final = (
    b"*1\r\n",
    b"*2\r\n$",
    b"$4\r\nPING\r\n",
    b"$0\r\n\r\n",
    b"$-1\r\n",
    b"PING\r\n",
    b"\r\n",
    b"\x16\x03",
)
RULE_WORDS: Final = (b"user ", b" on ", b"nopass", b"+@all", b"~*", b"(~a +get)", b"resetchannels", b"%RW~", b"\\x41")

TARGETS: Final = {
    target.name: target
    for target in (
        Target("requests", "parsing", "requests", 30, 160, REQUEST_WORDS),
        Target("quoting", "parsing", "quoting", 20, 60, (b"\\x4", b"\\n", b'" "', b"' '")),
        Target("acl-rules", "users", "rules", 8, 120),
        Target("acl-files", "users", "files", 6, 400, RULE_WORDS),
        Target("acl-words", "users", "words_of_selectors", 3, 60, (b" (", b") ")),
        Target("config-files", "configuration", "files", 6, 200, (b'"', b"\\x41", b"include ")),
        Target("config-rewrite", "configuration", "rewriting", 4, 160),
        Target("settings", "configuration", "settings", 3, 80),
        Target("lua-texts", "lua_texts", "texts", 4, 60),
        Target("lzf", "payloads", "compressed", 8, 120),
        Target("function-dumps", "payloads", "dumps", 6, 300),
        Target("structures", "payloads", "structures", 8, 60),
        Target("hyperloglogs", "payloads", "counters", 5, 200),
        Target("redo-records", "payloads", "records", 2, 200),
        Target("commands", "commands", "commands", 4, 120),
        Target("sessions", "sessions", "sessions", 3, 120),
        Target("log-ins", "sessions", "log_ins", 1, 120),
    )
}
