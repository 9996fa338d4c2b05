"""Every table of commands that a server offers. A new family is one line here."""

from __future__ import annotations

import importlib

names = [
    ("connection", "CONNECTION"),
    ("client", "CLIENT"),
    ("command", "COMMAND"),
    ("strings", "STRINGS"),
    ("counters", "COUNTERS"),
    ("lcs", "LCS"),
    ("keys", "KEYS"),
    ("scan", "SCAN"),
    ("object", "OBJECT"),
    ("databases", "DATABASES"),
    ("expiry", "EXPIRY"),
    ("transactions", "TRANSACTIONS"),
    ("server", "SERVER"),
    ("timings", "TIMINGS"),
    ("waiting", "WAITING"),
    ("info", "INFO"),
]
TABLES = []
for module, table in names:
    try:
        TABLES.append(getattr(importlib.import_module(f"keyp.commands.{module}"), table))
    except (ImportError, AttributeError) as error:
        print("not yet:", error)
