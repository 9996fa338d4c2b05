"""Commands on HyperLogLogs: about how many different elements there were, in at most 12 KiB.

A HyperLogLog is a string, and GET and SET move it from server to server; `hll_registers.py` has its bytes.

Redis stores the cardinality that PFCOUNT finds in the string, to find it sooner next time. Here a read changes nothing:
a cached cardinality that came with a string is used, and none is stored.
"""

from __future__ import annotations

from typing import Final

from keyp import events
from keyp.algorithms import hll_registers as hll
from keyp.algorithms.hll_estimate import estimate, register_of
from keyp.command.context import ReadContext, WriteContext
from keyp.command.spec import ADMIN, DENYOOM, FAST, MAY_REPLICATE, WALKS, Args, KeySpec, key_at, keys_from
from keyp.command.table import CommandTable
from keyp.errors import CommandError, printable
from keyp.resp.values import Reply
from keyp.storage.keys.keyspace import KEEP_DEADLINE, Keyspace, WritableKeyspace
from keyp.storage.lmdb.layout import EDITED
from keyp.storage.types import strings
from keyp.storage.value_types import STRING

HYPERLOGLOG = CommandTable(group="hyperloglog", categories="hyperloglog")

NOT_ONE: Final = "WRONGTYPE Key is not a valid HyperLogLog string value."
CORRUPTED: Final = "INVALIDOBJ Corrupted HLL object detected"

TEST_ELEMENTS: Final = 1000
TEST_ERROR: Final = 40  # five times the standard error of 16384 registers

ELEMENTS_AN_ESTIMATE: Final = 500  # elements of a collection that take as long to look at as one HyperLogLog


def _find(keys: Keyspace, key: bytes) -> bytes | None:
    """The HyperLogLog a key holds, None for no key. Raises WRONGTYPE for everything else."""
    record = keys.find(key, STRING)
    if record is None:
        return None
    length = strings.length_of(record)
    head = strings.part(keys, record, 0, min(length, hll.HEADER_BYTES))
    if not hll.is_hyperloglog(head, length):
        raise CommandError(NOT_ONE)
    return strings.value(keys, record)


def _registers(data: bytes) -> bytes:
    """All registers of a HyperLogLog. Raises INVALIDOBJ."""
    try:
        return hll.registers(data)
    except hll.Corrupted:
        raise CommandError(CORRUPTED) from None


def _store(keys: WritableKeyspace, key: bytes, data: bytes) -> None:
    strings.put(keys, key, data, KEEP_DEADLINE, EDITED)


def _dense(data: bytes, values: bytes) -> bytes:
    """A dense HyperLogLog of some registers, in place of another one."""
    return hll.changed_header(data, hll.DENSE) + hll.pack(values)


def _raised(data: bytes, pairs: list[tuple[int, int]], max_bytes: int) -> tuple[bytes, int]:
    """A HyperLogLog with registers raised to values, and how often one of them was less. Raises INVALIDOBJ."""
    if hll.is_dense(data):
        return _raised_dense(data, pairs)
    sparse = hll.Sparse(data)
    raised = 0
    try:
        for done, (index, value) in enumerate(pairs):
            outcome = sparse.put(index, value, max_bytes)
            if outcome == hll.NO_ROOM:
                dense, more = _raised_dense(_dense(data, sparse.registers()), pairs[done:])
                return dense, raised + more
            raised += outcome == hll.CHANGED
    except hll.Corrupted:
        raise CommandError(CORRUPTED) from None
    return hll.changed_header(data, hll.SPARSE) + sparse.body(), raised


def _raised_dense(data: bytes, pairs: list[tuple[int, int]]) -> tuple[bytes, int]:
    edited = bytearray(data)
    raised = sum([hll.put_dense(edited, index, value) for index, value in pairs])
    return hll.changed_header(data, hll.DENSE) + bytes(edited[hll.HEADER_BYTES :]), raised


@HYPERLOGLOG.write(
    "PFADD",
    arity=-2,
    keys=key_at(1, "RW insert"),
    flags=DENYOOM | FAST,
    since="2.8.9",
    complexity="O(1) to add every element.",
    syntax="key [element [element ...]]",
    summary="Adds elements to a HyperLogLog, which is made if need be.",
)
def pfadd(context: WriteContext, args: Args) -> Reply:
    """1 if the HyperLogLog was made or has changed, 0 otherwise."""
    keys, key = context.keys, args[1]
    found = _find(keys, key)
    data = hll.EMPTY if found is None else found
    pairs = [register_of(element) for element in args[2:]]
    result, changes = _raised(data, pairs, context.shared.hll_sparse_max_bytes)
    if found is None:
        changes += 1
    if not changes:
        return 0
    _store(keys, key, result)
    keys.notify(events.STRING, "pfadd", key, changes)
    return 1


@HYPERLOGLOG.read(
    "PFCOUNT",
    arity=-2,
    keys=keys_from(1, "RW access"),
    flags=MAY_REPLICATE,
    since="2.8.9",
    complexity="O(1) with a very small average constant time when called with a single key. O(N) with N being the"
    " number of keys, and much bigger constant times, when called with multiple keys.",
    syntax="key [key ...]",
    summary="Estimates how many different elements HyperLogLogs have seen together.",
)
def pfcount(context: ReadContext, args: Args) -> Reply:
    """The estimate, within about 1 % most of the time."""
    context.expect((len(args) - 1) * ELEMENTS_AN_ESTIMATE)
    keys = context.keys
    if len(args) == 2:
        data = _find(keys, args[1])
        if data is None:
            return 0
        cached = hll.cached_cardinality(data)
        return estimate(_registers(data)) if cached is None else cached
    return estimate(_union(keys, args[1:])[0])


def _union(keys: Keyspace, names: list[bytes]) -> tuple[bytes, bool]:
    """The registers of several HyperLogLogs together, and whether one of them is dense."""
    values = bytes(hll.REGISTERS)
    dense = False
    for name in names:
        data = _find(keys, name)
        if data is not None:
            values = hll.greater(values, _registers(data))
            dense = dense or hll.is_dense(data)
    return values, dense


@HYPERLOGLOG.write(
    "PFMERGE",
    arity=-2,
    keys=(KeySpec(1, 0, 1, "RW access insert"), KeySpec(2, -1, 1, "RO access")),
    flags=DENYOOM,
    since="2.8.9",
    complexity="O(N) to merge N HyperLogLogs, but with high constant times.",
    syntax="destkey [sourcekey [sourcekey ...]]",
    summary="Adds to a HyperLogLog what others have seen.",
)
def pfmerge(context: WriteContext, args: Args) -> Reply:
    """OK. The result is dense where one of them is."""
    keys, key = context.keys, args[1]
    values, dense = _union(keys, args[1:])
    for name in args[1:]:
        keys.note_read(name, keys.exists(name))
    found = _find(keys, key)
    data = hll.EMPTY if found is None else found
    if dense:
        result = _dense(data, values)
    else:
        pairs = [(index, value) for index, value in enumerate(values) if value]
        result, _ = _raised(data, pairs, context.shared.hll_sparse_max_bytes)
    _store(keys, key, result)
    keys.notify(events.STRING, "pfadd", key)
    return "OK"


@HYPERLOGLOG.write(
    "PFDEBUG",
    arity=3,
    keys=key_at(2, "RW access"),
    flags=DENYOOM | ADMIN,
    since="2.8.9",
    complexity="N/A",
    syntax="subcommand key",
    summary="Shows how a HyperLogLog is kept: GETREG, DECODE, ENCODING or TODENSE.",
)
def pfdebug(context: WriteContext, args: Args) -> Reply:
    """DECODE the runs, ENCODING the form. TODENSE makes it dense; whether it was not; GETREG the registers."""
    keys, key = context.keys, args[2]
    data = _find(keys, key)
    if data is None:
        raise CommandError("ERR The specified key does not exist")
    word = args[1].upper()
    if word == b"ENCODING":
        return "dense" if hll.is_dense(data) else "sparse"
    if word == b"DECODE":
        if hll.is_dense(data):
            raise CommandError("ERR HLL encoding is not sparse")
        return hll.Sparse(data).text().encode()
    if word not in (b"GETREG", b"TODENSE"):
        raise CommandError(f"ERR Unknown PFDEBUG subcommand '{printable(args[1])}'")
    values = _registers(data)
    if not hll.is_dense(data):
        _store(keys, key, hll.header(data, hll.DENSE) + hll.pack(values))
        context.writing.changes += 1
    if word == b"GETREG":
        return list(values)
    return 0 if hll.is_dense(data) else 1


@HYPERLOGLOG.read(
    "PFSELFTEST",
    arity=1,
    flags=ADMIN | WALKS,
    since="2.8.9",
    complexity="N/A",
    summary="Tests whether HyperLogLogs work on this machine.",
)
def pfselftest(context: ReadContext, args: Args) -> Reply:
    """OK, or an error that says what does not work."""
    pattern = bytes([index * 37 & 63 for index in range(hll.REGISTERS)])
    if hll.unpack(hll.pack(pattern)) != pattern:
        raise CommandError("TESTFAILED the dense form does not keep what is put into it")
    pairs = [register_of(b"%d" % number) for number in range(TEST_ELEMENTS)]
    sparse, _ = _raised(hll.EMPTY, pairs, hll.DENSE_BYTES)
    dense, _ = _raised(_dense(hll.EMPTY, bytes(hll.REGISTERS)), pairs, 0)
    if hll.is_dense(sparse) or _registers(sparse) != _registers(dense):
        raise CommandError("TESTFAILED the sparse and the dense form do not agree")
    if abs(estimate(_registers(dense)) - TEST_ELEMENTS) > TEST_ERROR:
        raise CommandError("TESTFAILED the estimate is too far from the number of elements")
    return "OK"
