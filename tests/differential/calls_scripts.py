"""Random scripts: each calls a command drawn from those whose replies are exact, in one protocol or the other.

What the commands do is shown by the other families; here it is what a script makes of their replies and errors.
"""

from __future__ import annotations

from hashlib import sha1

from hypothesis import strategies as st

from tests.differential import calls_hashes, calls_lists, calls_sets, calls_sortedsets, calls_strings
from tests.differential.words import KEYS, Span, Strategy, words

FAMILIES = (calls_strings, calls_lists, calls_hashes, calls_sets, calls_sortedsets)
# Their replies depend on nothing but the data, and none of them has an order that is each server's own.
EXACT = (
    "SET", "SETNX", "GET", "GETSET", "GETDEL", "APPEND", "STRLEN", "INCR", "INCRBY", "INCRBYFLOAT", "MGET", "MSET",
    "DEL", "EXISTS", "TYPE", "RENAME", "LPUSH", "RPUSH", "LRANGE", "LPOP", "LLEN", "LINDEX", "LSET", "LMOVE", "HSET",
    "HGET", "HMGET", "HDEL", "HINCRBY", "HLEN", "SADD", "SREM", "SISMEMBER", "SMISMEMBER", "SCARD", "ZADD", "ZSCORE",
    "ZMSCORE", "ZRANGE", "ZRANK", "ZINCRBY", "ZCARD",
)  # fmt: skip
TEXTS = [
    b"return redis.call(unpack(ARGV))",
    b"return redis.pcall(unpack(ARGV))",
    b"redis.setresp(3) return redis.call(unpack(ARGV))",
    b"redis.setresp(3) return {redis.pcall(unpack(ARGV))}",
    b"redis.call('append', KEYS[1] or 'n', 'x') return redis.call(unpack(ARGV))",
    b"local a = redis.pcall(unpack(ARGV)) return {type(a), type(a) == 'table' and (a.ok or #a) or a}",
    b"#!lua flags=no-writes\nreturn redis.pcall(unpack(ARGV))",
]
COUNTS = st.sampled_from([b"0", b"0", b"1"])


def _call(name: str) -> Strategy:
    template: Strategy = next(family.TEMPLATES[name] for family in FAMILIES if name in family.TEMPLATES)
    return template.map(lambda arguments: [name.encode(), *arguments])


INNER = st.sampled_from([name for name in EXACT if any(name in family.TEMPLATES for family in FAMILIES)])
CALL = INNER.flatmap(_call).filter(lambda call: not any(isinstance(word, Span) for word in call))
SCRIPT = st.sampled_from(TEXTS)
DIGEST = st.sampled_from([sha1(text).hexdigest().encode() for text in TEXTS] + [b"x", b"f" * 40])
LIBRARY = (
    b"#!lua name=l\n"
    b"redis.register_function('write', function(keys, args) return redis.call(unpack(args)) end)\n"
    b"redis.register_function{function_name='read', flags={'no-writes'},"
    b" callback=function(keys, args) return redis.pcall(unpack(args)) end}"
)
FUNCTIONS = st.sampled_from([b"write", b"write", b"read", b"nosuch"])
BEHIND = st.one_of(words("0", CALL), words("1", KEYS, CALL), words(COUNTS))

TEMPLATES: dict[str, Strategy] = {
    "EVAL": words(SCRIPT, BEHIND),
    "EVAL_RO": words(SCRIPT, BEHIND),
    "EVALSHA": words(DIGEST, BEHIND),
    "EVALSHA_RO": words(DIGEST, BEHIND),
    "FCALL": words(FUNCTIONS, BEHIND),
    "FCALL_RO": words(FUNCTIONS, BEHIND),
    "FUNCTION": st.one_of(words("LOAD", "REPLACE", st.just(LIBRARY)), words("FLUSH"), words("DELETE", "l")),
    "SCRIPT": st.one_of(words("LOAD", SCRIPT), words("EXISTS", DIGEST), words("FLUSH")),
}
