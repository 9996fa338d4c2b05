"""Every table of commands that a server offers. A new family is one line here."""

from __future__ import annotations

from typing import Final

from keyp.command.table import CommandTable
from keyp.commands.acl import ACL
from keyp.commands.bitfield import BITFIELD
from keyp.commands.bits import BITS
from keyp.commands.client import CLIENT
from keyp.commands.cluster import CLUSTER
from keyp.commands.command import COMMAND
from keyp.commands.connection import CONNECTION
from keyp.commands.counters import COUNTERS
from keyp.commands.databases import DATABASES
from keyp.commands.expiry import EXPIRY
from keyp.commands.functions import FUNCTIONS
from keyp.commands.geo import GEO
from keyp.commands.geo_search import GEO_SEARCH
from keyp.commands.hashes import HASHES
from keyp.commands.hyperloglog import HYPERLOGLOG
from keyp.commands.info import INFO
from keyp.commands.keys import KEYS
from keyp.commands.latency import LATENCY
from keyp.commands.lcs import LCS
from keyp.commands.list_moves import LIST_MOVES
from keyp.commands.lists import LISTS
from keyp.commands.object import OBJECT
from keyp.commands.pubsub import PUBSUB
from keyp.commands.scan import SCAN
from keyp.commands.scripting import SCRIPTING
from keyp.commands.server import SERVER
from keyp.commands.set_algebra import SET_ALGEBRA
from keyp.commands.sets import SETS
from keyp.commands.slowlog import SLOWLOG
from keyp.commands.sort import SORT
from keyp.commands.sortedset_algebra import SORTED_SET_ALGEBRA
from keyp.commands.sortedset_pops import SORTED_SET_POPS
from keyp.commands.sortedset_ranges import SORTED_SET_RANGES
from keyp.commands.sortedsets import SORTED_SETS
from keyp.commands.stream_claims import STREAM_CLAIMS
from keyp.commands.stream_groups import STREAM_GROUPS
from keyp.commands.stream_info import STREAM_INFO
from keyp.commands.stream_reads import STREAM_READS
from keyp.commands.streams import STREAMS
from keyp.commands.strings import STRINGS
from keyp.commands.transactions import TRANSACTIONS
from keyp.commands.wait import WAIT

TABLES: Final[tuple[CommandTable, ...]] = (
    CONNECTION,
    CLIENT,
    ACL,
    STRINGS,
    COUNTERS,
    LCS,
    BITS,
    BITFIELD,
    HYPERLOGLOG,
    LISTS,
    LIST_MOVES,
    SORTED_SETS,
    SORTED_SET_RANGES,
    SORTED_SET_POPS,
    SORTED_SET_ALGEBRA,
    HASHES,
    SETS,
    SET_ALGEBRA,
    GEO,
    GEO_SEARCH,
    STREAMS,
    STREAM_READS,
    STREAM_GROUPS,
    STREAM_CLAIMS,
    STREAM_INFO,
    KEYS,
    SCAN,
    SORT,
    OBJECT,
    EXPIRY,
    DATABASES,
    TRANSACTIONS,
    SCRIPTING,
    FUNCTIONS,
    PUBSUB,
    SERVER,
    INFO,
    SLOWLOG,
    LATENCY,
    WAIT,
    CLUSTER,
    COMMAND,
)
