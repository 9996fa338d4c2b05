"""What the types of values that are made of elements have in common.

The key's record holds a header - collection id, count, and some bytes that are the type's own - and every element is
an entry by itself (`elements.py`), so that a change costs the same in a collection of ten and of ten million.

A collection without elements does not exist: `save` removes its key.
"""

from __future__ import annotations

from keyp import events
from keyp.storage.keys.keyspace import KEEP_DEADLINE, Keyspace, WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.layout import CHECKSUM, HAS_ELEMENTS, NUMBER
from keyp.storage.types.elements import Elements


class Collection(Elements):
    """The collection of `record`, the record of `key`; a new one where there is none.

    It has `count` elements; `own` are the type's bytes of the header. Code that changes the collection keeps these true
    and calls `save` once at the end. Where elements have been left in the store it `has_been_cleared`.
    """

    has_been_cleared = False

    def __init__(self, keys: Keyspace, key: bytes, type_: int, record: bytes | None, own: bytes = b"") -> None:
        space = keys.space
        if record is None:
            assert isinstance(keys, WritableKeyspace)
            space = space or keys.writable_space()
            self.id = layout.number(keys.transaction.new_collection())
            self.count = 0
            self.own = own
        else:
            at = layout.body_offset(record)
            self.id = record[at : at + NUMBER]
            self.count = layout.read_number(record, at + NUMBER)
            self.own = record[at + 2 * NUMBER : -CHECKSUM]
        assert space is not None
        self.keys = keys
        self.txn = keys.txn
        self.database = space.elements
        self._events_before = len(keys.lookups.events)
        self.key = key
        self.type_ = type_
        self.record = record

    def save(self, deadline_ms: int = KEEP_DEADLINE) -> None:
        """Writes the header, with the version of the command that runs; or removes the key, which is empty now.

        Its removal notifies of `del`, so notify before of what emptied it.
        """
        keys = self.keys
        assert isinstance(keys, WritableKeyspace)
        if self.count:
            body = self.id + layout.number(self.count) + self.own
            keys.put(self.key, self.record, self.type_, HAS_ELEMENTS, body, deadline_ms)
            happened = keys.lookups.events
            if self.record is None and happened and happened[-1].event_class == events.NEW:
                happened.insert(self._events_before, happened.pop())  # the event of a new key comes first
        elif self.record is not None:
            keys.forget(layout.stored_name(self.key), self.record, with_elements=self.has_rest())
            keys.notify(events.GENERIC, "del", self.key, changes=0)

    def has_rest(self) -> bool:
        """Whether entries of the collection are left when its elements have been removed."""
        return self.has_been_cleared
