"""Long strings that are written before the transaction that makes them a key's value.

LMDB keeps all that a transaction writes in memory until it is committed, and all other writes wait for it. So the
pieces of a string of more than STAGED_MIN bytes are written first, in transactions of STAGED_AT_ONCE bytes each, under
a collection id that no key has; the garbage lists it from the first of them on. The command then runs, in a transaction
of its own as always, and takes the collection over: out of the garbage, into its record. So it still applies as a whole
or not at all, and what a crash leaves behind is cleared by the sweeper.

A command knows how long its string is, and what it is to be made of, before it writes. It raises `LargeWrite`, and is
run again when the string is there. No other write runs in between. That is only right while what it read was committed
and its database has not changed in its transaction; so the first write command of a transaction may stage, later ones
write their strings where they are.
"""

from __future__ import annotations

from typing import Final

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.keys.sweep import collect_garbage
from keyp.storage.lmdb import layout, pieces
from keyp.storage.lmdb.pieces import Content, Pieces, pieces_of
from keyp.storage.lmdb.transaction import Staged, WriteTransaction

STAGED_MIN: Final = 32 << 20

# So much stays in the processor's cache until LMDB writes it: 512 MB take three quarters of the time of 16 MB at once.
STAGED_AT_ONCE: Final = 4 << 20


class LargeWrite(Exception):
    """A command is about to write a long string into database `index`; it is to be staged first."""

    def __init__(self, index: int, content: Content) -> None:
        super().__init__(f"{content.length} bytes are to be staged")
        self.index = index
        self.content = content


class StagedString(Staged):
    """A long string that is being written; `is_first` of those that its batch has asked for."""

    def __init__(self, large: LargeWrite, is_first: bool) -> None:
        super().__init__(large.index, large.content.identity)
        self.content = large.content
        self._is_first = is_first
        self._next = 0

    @property
    def is_whole(self) -> bool:
        """Whether all pieces are written."""
        return self._next == pieces_of(self.content.length)

    def go_on(self, transaction: WriteTransaction) -> None:
        """Writes the next of the pieces. Raises `Damaged` where what they are made of is.

        Before a batch's first string as many pieces of removed values are cleared: repeated writes of long strings
        would outrun the sweeper. Not before later ones: then staged strings are in the garbage as well.
        """
        transaction.is_journaled = False  # the journal would be filled with what the data file has anyway
        stop = pieces_of(self.content.length)
        if self._is_first and not self.collection:
            collect_garbage(transaction, stop)
        space = WritableKeyspace(transaction, self.index).writable_space()
        if not self.collection:
            self.collection = transaction.new_collection()
            transaction.discard(layout.elements_garbage(space.number, self.collection))
        environment = transaction.environment
        first, self._next = self._next, min(stop, self._next + STAGED_AT_ONCE // pieces.PIECE_BYTES)
        environment.expect((self._next - first) * pieces.PIECE_BYTES)
        own = Pieces(transaction, space.elements, self.collection, self.content.length)
        own.write(self.content, first, self._next)


def must_stage(keys: WritableKeyspace, content: Content) -> bool:
    """Whether a string is to be written before the transaction, or has been."""
    transaction = keys.transaction
    return (
        content.length > STAGED_MIN
        and transaction.staged is not None
        and transaction.version == transaction.environment.version + 1
    )


def new_string(keys: WritableKeyspace, content: Content) -> int:
    """A collection with the pieces of a string, for the caller's record: written here, or staged.

    Raises `LargeWrite`, and `Damaged` where what they are made of is.
    """
    transaction = keys.transaction
    space = keys.writable_space()
    if not must_stage(keys, content):
        collection = transaction.new_collection()
        own = Pieces(transaction, space.elements, collection, content.length)
        own.write(content, 0, pieces_of(content.length))
        return collection
    for string in transaction.staged or []:
        if string.index == keys.index and string.identity == content.identity:
            entry = layout.elements_garbage(space.number, string.collection)
            if transaction.delete(transaction.environment.garbage, entry):  # it may be taken over once
                return string.collection
    raise LargeWrite(keys.index, content)
