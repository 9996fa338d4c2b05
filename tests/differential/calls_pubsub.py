"""Commands about channels, drawn at random, as far as each has one reply; the rest is `test_random_pubsub.py`'s."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.differential.words import KEYS, VALUES, Strategy, words

TEMPLATES: dict[str, Strategy] = {
    "PUBLISH": words(KEYS, VALUES),
    "SPUBLISH": words(KEYS, VALUES),
    "PUBSUB": words(st.sampled_from([b"CHANNELS", b"NUMSUB", b"SHARDCHANNELS", b"SHARDNUMSUB"]), KEYS),
}
