"""COMMAND: rows and explanations, all read off the blocks that define the commands."""

from __future__ import annotations

from typing import Any

import pytest

from keyp.command.describe import CATEGORIES, categories
from keyp.command.registry import Registry
from keyp.commands import cluster
from keyp.commands.all import TABLES
from tests.fakes import Connection

REGISTRY = Registry(TABLES)


def pairs(flat: list[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


ROW_OF_GET_IN_RESP3 = (
    b"*10\r\n$3\r\nget\r\n:2\r\n~2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n~3\r\n+@read\r\n+@string\r\n+@fast\r\n~0\r\n"
    b"~1\r\n%3\r\n$5\r\nflags\r\n~2\r\n+RO\r\n+access\r\n"
    b"$12\r\nbegin_search\r\n%2\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n%1\r\n$5\r\nindex\r\n:1\r\n"
    b"$9\r\nfind_keys\r\n%2\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n"
    b"%3\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n~0\r\n"
)


def test_a_row_to_the_letter(client: Connection) -> None:
    client.call("HELLO 3")
    assert client.call("COMMAND INFO get") == b"*1\r\n" + ROW_OF_GET_IN_RESP3
    flat = ROW_OF_GET_IN_RESP3.replace(b"~", b"*").replace(b"%3", b"*6").replace(b"%2", b"*4").replace(b"%1", b"*2")
    client.call("HELLO 2")
    assert client.call("COMMAND INFO get") == b"*1\r\n" + flat


def test_info(client: Connection) -> None:
    mset, unknown, subcommand = client.answer("COMMAND INFO MSET nosuch client|ID")
    assert mset[:6] == [b"mset", -3, ["write", "denyoom"], 1, -1, 2]
    assert unknown is None
    assert subcommand[:7] == [b"client|id", 2, ["noscript", "loading", "stale"], 0, 0, 0, ["@slow", "@connection"]]
    assert client.answer('COMMAND INFO "" get| |get client|nosuch') == [None, None, None, None]


def test_info_of_a_container(client: Connection) -> None:
    client.call("HELLO 3")
    assert client.call("COMMAND INFO client").startswith(b"*1\r\n*10\r\n$6\r\nclient\r\n:-2\r\n~0\r\n")
    client.call("HELLO 2")
    [row] = client.answer("COMMAND INFO client")
    assert [sub[0] for sub in row[9] if sub[0] in (b"client|id", b"client|help")][::-1] == [
        b"client|id",
        b"client|help",
    ]


def test_all_rows(client: Connection) -> None:
    rows = client.answer("COMMAND")
    assert rows == client.answer("COMMAND INFO")
    assert [row[0].decode() for row in rows] == [spec.full_name for spec in REGISTRY]
    assert client.answer("COMMAND COUNT") == len(rows)


def test_several_key_specifications_make_one_range(client: Connection) -> None:
    [rename, copy] = client.answer("COMMAND INFO rename copy")
    assert (rename[3:6], copy[3:6]) == ([1, 2, 1], [1, 2, 1])
    assert len(rename[8]) == 2


def test_docs(client: Connection) -> None:
    [name, flat] = client.answer("COMMAND DOCS Set nosuch")
    entry = pairs(flat)
    assert name == b"set"
    assert (entry[b"since"], entry[b"group"], entry[b"complexity"]) == (b"1.0.0", b"string", b"O(1)")
    assert entry[b"summary"] == REGISTRY.specs[[spec.name for spec in REGISTRY].index("SET")].summary.encode()
    key, value, condition, *_ = map(pairs, entry[b"arguments"])
    assert key == {b"name": b"key", b"type": b"key", b"display_text": b"key", b"key_spec_index": 0}
    assert value[b"type"] == b"string"
    assert (condition[b"type"], condition[b"flags"]) == (b"oneof", ["optional"])
    assert [pairs(choice)[b"token"] for choice in condition[b"arguments"]] == [b"NX", b"XX"]


def test_docs_of_a_container_and_its_subcommands(client: Connection) -> None:
    entry = pairs(client.answer("COMMAND DOCS object")[1])
    assert b"arguments" not in entry
    assert b"object|encoding" in pairs(entry[b"subcommands"])
    assert client.answer("COMMAND DOCS object|encoding")[0] == b"object|encoding"
    assert client.answer("COMMAND DOCS nosuch") == []
    assert len(client.answer("COMMAND DOCS")) == 2 * len(REGISTRY)


def test_docs_in_resp3(client: Connection) -> None:
    client.call("HELLO 3")
    docs = client.call("COMMAND DOCS get")
    assert docs.startswith(b"%1\r\n$3\r\nget\r\n%5\r\n$7\r\nsummary\r\n")
    assert b"$9\r\narguments\r\n*1\r\n%4\r\n" in docs


# A server without a cluster refuses CLUSTER HELP like everything else there.
CONTAINERS = [spec for spec in REGISTRY if spec.subcommands and spec.group != "cluster"]


@pytest.mark.parametrize("spec", CONTAINERS, ids=lambda spec: spec.full_name)
def test_every_container_has_help(client: Connection, spec: Any) -> None:
    text = client.answer(f"{spec.name} HELP")
    assert text[0].startswith(f"{spec.name} <subcommand> ")
    subcommands = [line for line in text[1:] if not line.startswith("    ")]
    explained = [line.split(" ")[0] for line in subcommands if line != "(no subcommand)"]
    assert sorted(explained) == sorted(name.decode() for name in spec.subcommands)
    assert all(text[text.index(line) + 1].startswith("    ") for line in subcommands)


def test_categories_are_those_that_exist() -> None:
    for spec in REGISTRY:
        for each in (spec, *spec.subcommands.values()):
            assert set(categories(each)) <= set(CATEGORIES)
            assert ("fast" in categories(each)) != ("slow" in categories(each))


def test_functions_bear_their_commands_names() -> None:
    """Searching for a command's name finds its function, but for those that one function serves: HELP, CLUSTER."""
    functions = {
        spec.name: spec.function.__name__
        for table in TABLES
        for spec in table.specs
        if spec.function not in (None, cluster.refuse) and not spec.name.endswith("|HELP")
    }
    names = {name: name.lower().replace("|", "_").replace("-", "_") for name in functions}
    assert {name: functions[name] for name in names if functions[name] not in (names[name], f"{names[name]}_")} == {}
