"""Up to which size collections have compact encodings: the settings behind OBJECT ENCODING.

Keyp keeps every collection in one way; the encoding's name is a byte in its header. As in Redis, it is decided when a
collection is written, by the limits of that moment, and stays until then.
"""

from __future__ import annotations


class CompactLimits:
    """Most elements of each compact encoding, and bytes of its longest element. `list_size` is as in the setting.

    `stream_entries` is how many entries of a stream are counted together, and trimmed together by `~`; 0 for no limit.
    """

    def __init__(self) -> None:
        self.hash_fields = 512
        self.hash_bytes = 64
        self.integers = 512
        self.set_members = 128
        self.set_bytes = 64
        self.sorted_set_members = 128
        self.sorted_set_bytes = 64
        self.list_size = -2
        self.stream_entries = 100
