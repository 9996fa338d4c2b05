"""A disk with little room or none, for code that asks how much there is."""

from __future__ import annotations

import os

import pytest


def fill_disk(patch: pytest.MonkeyPatch, free_bytes: int = 0) -> None:
    """From now on every disk says that it has only so many bytes left. Holds for compiled modules too."""
    about = os.statvfs_result((1, 1, 1 << 40, free_bytes, free_bytes, *[0] * 5))
    patch.setattr(os, "statvfs", lambda path: about)
