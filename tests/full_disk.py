"""A disk without room, as far as anybody asks how much there is."""

from __future__ import annotations

import os

import pytest


def fill_disk(patch: pytest.MonkeyPatch) -> None:
    """From now on every disk says that it is full. Holds for compiled modules too."""
    patch.setattr(os, "statvfs", lambda path: os.statvfs_result((4096, 4096, *[0] * 8)))
