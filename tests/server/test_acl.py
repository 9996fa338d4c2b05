"""Users: rules beside those that the rows of the real server have, files, and the log of refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.command.permission import command_index, denial
from keyp.command.registry import Registry
from keyp.commands.all import TABLES
from keyp.server.acl.acl_log import AUTH, TOP_LEVEL, AclLog, Refusal
from keyp.server.acl.rules import FileErrors, declared_user, join_selectors, parse_file
from keyp.server.acl.selector import RuleError
from keyp.server.acl.user import User
from keyp.server.acl.users import Users
from keyp.server.config.file import parse

REGISTRY = Registry(TABLES)
INDEX = command_index(REGISTRY)
NAMES = sorted(INDEX.names)
RULES = st.one_of(
    st.sampled_from(["on", "off", "nopass", "resetpass", ">p", "<p", "allkeys", "resetkeys", "allchannels", "reset"]),
    st.sampled_from(["resetchannels", "allcommands", "nocommands", "clearselectors", "(+get ~a)", "(+@all %R~b &c)"]),
    st.tuples(st.sampled_from("+-"), st.sampled_from(NAMES)).map("".join),
    st.tuples(st.sampled_from("+-"), st.sampled_from(["@read", "@write", "@hash", "@admin", "@slow"])).map("".join),
    st.tuples(st.sampled_from(["~", "%R~", "%W~", "&"]), st.sampled_from(["a*", "b", "*", 'q"', "'", "\\", ")"])).map(
        "".join
    ),
    st.sampled_from(["+select|0", "+get|x", "+get|'", "+get|a b", "+get|\n", "-config", "+config|get"]),
    st.sampled_from(["(~x) +get)", '(~"a)', "(+get|\t)", "(&' -@all +get|))"]),
).map(str.encode)
USER_NAMES = st.sampled_from([b"ann", b'q"', b"it's", b'"', b"\\x41", b"\xff", b"\x01", b"", b"#", b"(", b"user"])


def user(*rules: bytes) -> User:
    made = User(b"ann", False)
    for rule in rules:
        made.apply(rule, INDEX, False)
    return made


def allowed(one: User) -> list[bool]:
    """What he may do: each command, some keys, some channels."""
    specs = [one for spec in REGISTRY for one in (spec, *spec.subcommands.values())]
    calls = [(spec, spec.full_name.encode().split(b"|") + [b"a1"] * 9) for spec in specs if spec.function is not None]
    return [denial(one, spec, call) is None for spec, call in calls]


@given(USER_NAMES, st.lists(RULES, max_size=12))
def test_a_user_is_made_anew_by_his_line(name: bytes, rules: list[bytes]) -> None:
    """So a file that is saved and loaded gives the same users: an ACL file, and a configuration file as well."""
    one = User(name, False)
    for rule in rules:
        try:
            one.apply(rule, INDEX, False)
        except RuleError:
            continue
    (directive,) = parse(one.line())
    for other in (parse_file(one.describe(), "users", INDEX, True)[name], declared_user(directive.words, INDEX, True)):
        is_the_same(other, one)


def is_the_same(other: User, one: User) -> None:
    assert other.name == one.name
    assert other.describe() == one.describe()
    assert other.is_unrestricted or not one.is_unrestricted
    assert allowed(other) == allowed(one)
    assert one.copy().describe() == one.describe()


@pytest.mark.parametrize(
    "rules",
    [
        [b'~"a"', b"~'a", b"~b\\x41", b'&"c'],
        [b'+get|"x', b"+get|'"],
        [b"%RW~*", b"%R~a"],
        [b"~a", b"%W~*", b"%R~*"],
        [b"%RW~*"],
        [b"(%RW~* ~b)", b"~q"],
        [b"~a)", b"(~b +get)"],
    ],
)
def test_unusual_patterns_come_back_from_a_file(rules: list[bytes]) -> None:
    one = user(*rules)
    other = parse_file(b'user "q on\n' + one.describe(), "users", INDEX, False)[b"ann"]
    assert other.describe() == one.describe()
    assert allowed(other) == allowed(one)
    assert user(*join_selectors(one.describe().split(b" ")[2:])).describe() == one.describe()


@pytest.mark.parametrize("rule", [b"+get|a b", b"+get|a\t", b"(~a))", b"(+get|x) +set)", b"(&a) ~b)"])
def test_what_no_file_can_say_is_refused(rule: bytes) -> None:
    with pytest.raises(RuleError, match="Syntax error"):
        user(rule)


def test_a_line_has_quotes_only_where_it_needs_them() -> None:
    """Elsewhere it is what Redis writes."""
    rules = (b"on", b"~\xc3\xa9", b"(~a +get)")
    assert user(*rules).line() == user(*rules).describe()
    assert User(b'a"b', True).line() == b'user "a\\"b" off sanitize-payload &* -@all'


def test_passwords_are_kept_as_hashes() -> None:
    one = user(b"on", b">secret", b">secret", b">other")
    assert len(one.passwords) == 2
    assert b"secret" not in one.describe()
    assert one.accepts(b"secret")
    assert not one.accepts(b"")
    assert not one.accepts(one.passwords[0])
    assert user(b"on", b"#" + one.passwords[0]).accepts(b"secret")
    assert not user(b">secret").accepts(b"secret"), "he is off"


def test_a_file() -> None:
    text = b"\n  user ann on >p ~a* ( +get ~b )\r\nuser default off\n"
    users = parse_file(text, "users", INDEX, False)
    assert list(users) == [b"ann", b"default"]
    assert users[b"ann"].accepts(b"p")
    assert len(users[b"ann"].more_selectors) == 1
    assert not users[b"default"].enabled
    assert parse_file(b"", "users", INDEX, False)[b"default"].is_open


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"ann on", "f:1 should start with user keyword followed by the username. "),
        (b"user", "f:1 should start with user keyword followed by the username. "),
        (b"\nuser ann 'on", "f:2: Syntax error. "),
        (b"user  ann on", "f:1: Syntax error. "),
        (b"user ann on\t~a", "f:1: Syntax error. "),
        (b"user\tann on", "f:1 should start with user keyword followed by the username. "),
        (b"user ann\nuser ann", "WARNING: Duplicate user 'ann' found on line 2. "),
        (b"user ann +nosuch -also", "f:1: Error in applying operation '+nosuch': Unknown command or category name in"
         " ACL. f:1: Error in applying operation '-also': Unknown command or category name in ACL. "),
        (b"user ann what ever", "f:1: Syntax error. "),
        (b"user ann (+get", "f:1: Unmatched parenthesis in selector definition."),
        (b"user 'a b'", "f:1: Syntax error. "),
        (b"user a\tb", "'f:1: username 'a\tb' contains invalid characters. "),
    ],
)  # fmt: skip
def test_a_wrong_file_changes_nothing(text: bytes, error: str) -> None:
    with pytest.raises(FileErrors) as caught:
        parse_file(text, "f", INDEX, False)
    warning = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
    assert str(caught.value) == error + warning


def test_a_view_changes_nothing_before_it_is_taken_over() -> None:
    users = Users(INDEX)
    assert users.is_open
    view = users.view()
    ann = user(b"on")
    view.set(b"ann", ann)
    assert (users.names(), view.names()) == ([b"default"], [b"ann", b"default"])
    assert users.is_open
    users.take_over({b"ann": ann})
    assert users.names() == [b"ann", b"default"]
    assert not users.is_open
    view = users.view()
    view.set(b"ann", None)
    assert (users.names(), view.names()) == ([b"ann", b"default"], [b"default"])
    users.take_over({b"ann": None})
    assert users.is_open


def refusal(name: bytes, at_ms: int) -> Refusal:
    return Refusal(AUTH, TOP_LEVEL, b"AUTH", name, b"", at_ms)


def test_the_log_counts_what_repeats_itself() -> None:
    log = AclLog()
    for name, at_ms in [(b"a", 0), (b"b", 1), (b"a", 60_000), (b"a", 120_001)]:
        log.add(refusal(name, at_ms))
    assert [(entry.id, entry.last.user, entry.count, entry.created_ms) for entry in log.entries] == [
        (2, b"a", 1, 120_001),
        (0, b"a", 2, 0),
        (1, b"b", 1, 1),
    ]


def test_the_log_is_short() -> None:
    log = AclLog()
    log.limit = 2
    for number in range(12):
        log.add(refusal(b"%d" % number, 0))
    assert [entry.last.user for entry in log.entries] == [b"11", b"10"]
    log.limit = 0
    log.add(refusal(b"x", 0))
    assert log.entries == []
