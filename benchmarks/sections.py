"""All sections, in the order in which they are measured and reported."""

from __future__ import annotations

from benchmarks.growth import GROWTH, LARGE_THINGS
from benchmarks.latency import LATENCY
from benchmarks.rounds import Section
from benchmarks.scripts import SCRIPTS
from benchmarks.slow_script import SLOW_SCRIPT
from benchmarks.streams import STREAMS
from benchmarks.throughput import COMMANDS, DURABLE, ORIGINAL
from benchmarks.tls import TLS
from benchmarks.types import TYPES

SECTIONS: dict[str, Section] = {
    section.name: section
    for section in (
        ORIGINAL,
        COMMANDS,
        SCRIPTS,
        DURABLE,
        TLS,
        TYPES,
        STREAMS,
        GROWTH,
        LATENCY,
        SLOW_SCRIPT,
        LARGE_THINGS,
    )
}
