"""Copies of values, of whatever kind: the one place that knows how each kind is copied."""

from __future__ import annotations

from keyp.storage import layout, strings
from keyp.storage.keyspace import Keyspace, WritableKeyspace


def copy_value(keys: Keyspace, key_record: bytes, target: WritableKeyspace, new_key: bytes) -> None:
    """Writes the value and the deadline of a record of `keys` under a key of `target`, where no such key exists."""
    kind = layout.record_kind(key_record)
    if kind == layout.STRING:
        strings.copy(keys, key_record, target, new_key)
    else:
        raise AssertionError(f"values of kind {kind} cannot be copied")
