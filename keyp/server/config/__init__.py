"""The settings: their types, the table of all of them, and the ones of a server."""

from __future__ import annotations

from keyp.server.config.setting_types import INT64_MAX, Invalid, Memory
from keyp.server.config.settings import Settings
from keyp.server.config.table import SAVED_FILE, TABLE

__all__ = ["INT64_MAX", "SAVED_FILE", "TABLE", "Invalid", "Memory", "Settings"]
