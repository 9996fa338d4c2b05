"""The rules of the house, read off the sources: who may import whom, what must stay pure, how long things may be.

Each rule is a function from a module to its complaints, so that it can also be shown a module that breaks it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scratch import ON_DISK

ROOT = Path(__file__).parent.parent

# The floors, lowest first. A module may import from the floors below its own and from its own room, not from its
# neighbours, not from above. What only the type checker reads is not counted. A room is a folder; a module at the top
# is a room by itself. The longest name that fits counts, so `keyp.storage` is what stands loose in that folder.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("keyp",),
    (
        "keyp.errors",
        "keyp.events",
        "keyp.storage.access_times",
        "keyp.storage.compact_limits",
        "keyp.storage.value_types",
    ),
    ("keyp.algorithms", "keyp.resp", "keyp.storage.journal"),
    ("keyp.scripting", "keyp.server", "keyp.storage.lmdb"),
    ("keyp.storage.keys",),
    ("keyp.storage.types",),
    ("keyp.storage",),
    ("keyp.command",),
    ("keyp.commands", "keyp.execution"),
    ("keyp.net", "keyp.tools"),
    ("keyp.main",),
    ("keyp.__main__", "twisted.plugins.keyp_plugin", "twisted.plugins.keyp_reactor"),
)

# Who may know the libraries we stand on.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "twisted": (
        "keyp.net",
        "keyp.execution",
        "keyp.main",
        "twisted.plugins.keyp_plugin",
        "twisted.plugins.keyp_reactor",
    ),
    "zope": ("keyp.net",),
    "lupa": ("keyp.scripting.registration", "keyp.scripting.runtime"),
    "lmdb": ("keyp.storage", "keyp.execution.commit"),  # the latter for the types of its exceptions
}

# What a command does and replies follows from the transaction, the context and the arguments: nothing here may look at
# a clock, draw at random, open a connection or start a thread. Nor may the way of a request: it is given a loop.
PURE = (
    "keyp.algorithms",
    "keyp.command",
    "keyp.commands",
    "keyp.execution",
    "keyp.resp",
    "keyp.scripting",
    "keyp.storage",
)
IMPURE = {
    "asyncio", "concurrent", "datetime", "multiprocessing", "queue", "random", "sched", "secrets", "select",
    "selectors", "signal", "socket", "subprocess", "tempfile", "threading", "time", "uuid",
}  # fmt: skip
IMPURE_CALLS = {"os.urandom", "os.getrandom", "os.times", "os.fork", "Random", "random.Random"}
ALLOWED: dict[tuple[str, str], str] = {
    ("keyp.command.context", "random.Random"): "the type of context.random, which the caller makes",
    ("keyp.command.random_elements", "random.Random"): "the type of an argument that comes from the context",
    ("keyp.storage.keys.random_key", "random.Random"): "the type of an argument that comes from the context",
    (
        "keyp.storage.lmdb.journal",
        "threading.Lock",
    ): "the writer's thread and others take checkpoints; no effect depends on it",
    ("keyp.storage.lmdb.reader", "time.sleep"): "the tools wait until a server's file shows what it has answered",
    (
        "keyp.scripting.cache",
        "threading.Lock",
    ): "the writer's thread and readers share the cache; a batch sees it through a view of its own",
    (
        "keyp.command.scan_cursors",
        "threading.Lock",
    ): "readers on several threads share the table; no effect depends on it",
}

# Says nothing that a search could find: name the value type, channel type, event class, access or setting type.
VAGUE = {"kind", "kinds"}

# What a test may need that starts no other programs: with these packages alone it runs.
FOUR_PACKAGES = {"pytest", "_pytest", "hypothesis", "lmdb", "twisted", "zope"}  # zope.interface comes with Twisted
WITH_MORE = ("tests.differential", "tests.integration", "tests.crash", "tests.soak")

FILE_LINES = 500
FUNCTION_LINES = 60
LONG_ON_PURPOSE = {
    ("keyp.resp.parser", "feed"): "the hottest loop of all; in pieces it would keep its state in attributes",
}

ERROR_TEXT = re.compile(r"[A-Z]{3,} \S.* ")  # a code and several words


class Module:
    """A source file and its syntax tree. `name` is dotted; a package goes by its own name."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.lines = len(text.splitlines())
        self.tree = ast.parse(text)

    def __repr__(self) -> str:
        return self.name


def read(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path.read_text(encoding="utf-8"))


MODULES = [read(path) for folder in ("keyp", "twisted") for path in sorted((ROOT / folder).rglob("*.py"))]
NAMES = {module.name for module in MODULES}


def is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def code(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that is there at run time: not what stands under `if TYPE_CHECKING`."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for node in child.orelse:
                yield from code(node)
        else:
            yield from code(child)


def imports(module: Module) -> Iterator[str]:
    """The dotted names that a module imports at run time, wherever it does so: modules, and names in them."""
    for node in code(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports by a relative name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(module: Module) -> Iterator[str]:
    """The names of our own modules that a module imports."""
    for name in imports(module):
        if is_in(name, ("keyp",)):
            yield name if name in NAMES or "." not in name else name.rpartition(".")[0]


def floor(name: str) -> tuple[int, str]:
    """The floor on which a module stands, and the entry of the table that says so."""
    found = [
        (len(entry), height, entry)
        for height, entries in enumerate(FLOORS)
        for entry in entries
        if name == entry or (entry != "keyp" and name.startswith(f"{entry}."))
    ]
    if not found:
        raise AssertionError(f"{name} is on no floor: put it into FLOORS")
    _, height, entry = max(found)
    return height, entry


def upward(module: Module) -> Iterator[str]:
    height, entry = floor(module.name)
    for name in own_imports(module):
        other_height, other_entry = floor(name)
        if other_height >= height and other_entry != entry:
            yield f"{module} imports {name}, which is not below it"


def strangers(module: Module) -> Iterator[str]:
    for name in imports(module):
        library = name.partition(".")[0]
        if library in MAY_IMPORT and not is_in(module.name, MAY_IMPORT[library]):
            yield f"{module} imports {name}, of which it must not know"


def impurities(module: Module) -> Iterator[str]:
    if not is_in(module.name, PURE):
        return
    for name in imports(module):
        impure = name.partition(".")[0] in IMPURE or name in IMPURE_CALLS
        if impure and (module.name, name) not in ALLOWED:
            yield f"{module} imports {name}"
    for node in code(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in IMPURE_CALLS:
            yield f"{module} calls {ast.unparse(node.func)}"


def too_long(module: Module) -> Iterator[str]:
    if module.lines >= FILE_LINES:
        yield f"{module} has {module.lines} lines"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES and (module.name, node.name) not in LONG_ON_PURPOSE:
                yield f"{module}: {node.name} has {lines} lines"


def silent(module: Module) -> Iterator[str]:
    if module.tree.body and not ast.get_docstring(module.tree):
        yield f"{module} does not say what it is for"


def vague(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        name = (
            node.id if isinstance(node, ast.Name)
            else node.arg if isinstance(node, ast.arg | ast.keyword)
            else node.attr if isinstance(node, ast.Attribute)
            else ""
        )  # fmt: skip
        if name and name.strip("_").lower() in VAGUE:
            yield f"{module} names something {name}"


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of a cycle in `graph`, in order, the first also as the last; empty where there is none."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph.get(name, ())):
            found = walk(other, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


RULES: list[Callable[[Module], Iterator[str]]] = [upward, strangers, impurities, too_long, silent, vague]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps(rule: Callable[[Module], Iterator[str]]) -> None:
    assert [complaint for module in MODULES for complaint in rule(module)] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert cycle({module.name: set(own_imports(module)) - {module.name} for module in MODULES}) == []


def test_test_files_are_short() -> None:
    files = [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: count for name, count in lines.items() if count >= FILE_LINES} == {}


def test_error_texts_are_written_once() -> None:
    """What several commands reply stands in `keyp/errors.py`."""
    found: dict[str, set[str]] = {}
    for module in MODULES:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and ERROR_TEXT.match(node.value):
                found.setdefault(node.value, set()).add(module.name)
    assert {text: names for text, names in found.items() if len(names) > 1} == {}


def test_unit_tests_need_four_packages() -> None:
    modules = {module.name: module for module in [read(path) for path in (ROOT / "tests").rglob("*.py")]}
    seen: set[str] = set()
    libraries: set[tuple[str, str]] = set()
    wanted = [name for name in modules if not is_in(name, WITH_MORE)]
    for name in wanted:
        for imported in at_import(modules[name].tree):
            if imported in modules and imported not in seen:
                seen.add(imported)
                wanted.append(imported)
            libraries.add((name, imported.partition(".")[0]))
    ours = {"keyp", "tests", "benchmarks", *sys.stdlib_module_names}
    assert sorted((name, library) for name, library in libraries if library not in FOUR_PACKAGES | ours) == []


def at_import(tree: ast.Module) -> Iterator[str]:
    """The modules that are imported with this one: not those that a function imports when it is called."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def test_tests_keep_their_stores_in_memory_but_where_whole_servers_run() -> None:
    files = [
        path for path in (ROOT / "tests").rglob("*.py") if path.relative_to(ROOT / "tests").parts[0] not in ON_DISK
    ]
    makers = re.compile(r"\btmp_path_factory: |\bimport tempfile\b|\bfrom tempfile\b")
    assert [path.name for path in files if makers.search(path.read_text(encoding="utf-8"))] == ["scratch.py"]


def test_twisted_keeps_its_own_package() -> None:
    found = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "twisted").rglob("*.py"))
    assert found == ["twisted/plugins/keyp_plugin.py", "twisted/plugins/keyp_reactor.py"]


def test_allowed_exceptions_are_still_needed() -> None:
    used = {(module.name, name) for module in MODULES for name in imports(module)}
    assert set(ALLOWED) - used == set()


def test_all_modules_were_read() -> None:
    assert {"keyp", "keyp.execution.executor", "keyp.commands.strings", "twisted.plugins.keyp_plugin"} <= NAMES


def test_the_architecture_has_every_room_on_its_floor() -> None:
    table = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## The rooms")[2].partition("## ")[0]
    rooms: dict[int, set[str]] = {}
    here = 0
    for number, cell in re.findall(r"^\| ([0-9]*) ?\| (`.*?`) \|", table, re.MULTILINE):
        here = int(number) if number else here
        rooms.setdefault(here, set()).update(re.findall(r"`([^`]+)`", cell))
    wanted = {
        height: {"twisted/plugins/" if entry.startswith("twisted") else path_of(entry) for entry in entries}
        for height, entries in enumerate(FLOORS)
        if height
    }
    assert rooms == wanted


def path_of(name: str) -> str:
    path = name.replace(".", "/")
    return f"{path}/" if (ROOT / path).is_dir() else f"{path}.py"


def test_files_and_modules_that_are_named_exist() -> None:
    """In the documents every name, in the sources names with a folder and modules with their package."""
    paths = [
        f"/{path.relative_to(ROOT)}"
        for folder in ("keyp", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    ]
    paths.append("/setup.py")
    missing = []
    for document in [*ROOT.glob("*.md"), *(ROOT / "keyp").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        text = document.read_text(encoding="utf-8")
        files = re.findall(r"`([\w/]+\.py)`", text)
        if document.suffix == ".py":
            files = [name for name in files if "/" in name]
        missing += [(document.name, name) for name in files if not any(path.endswith(f"/{name}") for path in paths)]
        modules = re.findall(r"`(keyp(?:\.[a-z_]+)+)\b", text)
        missing += [(document.name, name) for name in modules if not is_module(name)]
    assert missing == []


def is_module(name: str) -> bool:
    """Whether it is a module, what stands in one, or a file of the data directory."""
    parent = name.rpartition(".")[0]
    in_module = parent in NAMES and not (ROOT / parent.replace(".", "/")).is_dir()
    return name in NAMES or in_module or name in ("keyp.crash", "keyp.lock", "keyp.reserve")


def sample(text: str, name: str = "keyp.commands.sample") -> Module:
    return Module(name, f'"""A sample."""\n{text}\n')


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (upward, "import keyp.execution.executor"),
        (upward, "from keyp.net.server import Server"),
        (upward, "from keyp import main"),
        (upward, "def f():\n    from keyp.execution.dispatcher import Dispatcher"),
        (strangers, "import lmdb"),
        (strangers, "from twisted.internet import reactor"),
        (strangers, "try:\n    import twisted.logger as log\nexcept ImportError:\n    pass"),
        (impurities, "import time"),
        (impurities, "from datetime import datetime"),
        (impurities, "from random import Random, choice"),
        (impurities, "def f():\n    import threading"),
        (impurities, "from os import urandom"),
        (impurities, "import os\nos.urandom(3)"),
        (impurities, "def f(x: object) -> object:\n    return Random()"),
        (vague, "def f(kind: int) -> None: ..."),
        (vague, "class C:\n    def f(self) -> None:\n        self._kind = 1"),
        (vague, "KINDS = (1, 2)"),
        (too_long, "\n" * FILE_LINES),
        (too_long, "def f():\n" + "    pass\n" * FUNCTION_LINES),
    ],
)
def test_a_rule_sees_who_breaks_it(rule: Callable[[Module], Iterator[str]], text: str) -> None:
    assert list(rule(sample(text)))


def test_the_rule_on_docstrings_sees_who_breaks_it() -> None:
    assert list(silent(Module("keyp.sample", "x = 1")))
    assert not list(silent(Module("keyp.sample", "")))


@pytest.mark.parametrize(
    ("rule", "text", "name"),
    [
        (
            upward,
            "from keyp.commands import registry\nfrom keyp.storage.keys.keyspace import Keyspace",
            "keyp.commands.sample",
        ),
        (upward, "if TYPE_CHECKING:\n    from keyp.execution.dispatcher import Dispatcher", "keyp.commands.sample"),
        (strangers, "import lmdb", "keyp.storage.sample"),
        (strangers, "import twistedly", "keyp.commands.sample"),
        (vague, "def f(channel_type: int, kindness: int) -> None: ...", "keyp.commands.sample"),
        (impurities, "import time", "keyp.net.clock"),
        (impurities, "from random import Random", "keyp.command.context"),
        (too_long, "def f():\n" + "    pass\n" * (FUNCTION_LINES - 1), "keyp.commands.sample"),
    ],
)
def test_a_rule_lets_others_pass(rule: Callable[[Module], Iterator[str]], text: str, name: str) -> None:
    assert list(rule(sample(text, name))) == []


def test_a_module_on_no_floor_is_seen() -> None:
    with pytest.raises(AssertionError, match="on no floor"):
        floor("keyp.newcomer")


def test_a_circle_is_seen() -> None:
    assert cycle({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"a"}}) == ["a", "b", "d", "a"]
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
