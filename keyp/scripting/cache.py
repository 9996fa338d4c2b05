"""The scripts that a server knows by their digests: those that SCRIPT LOAD has brought, and the last ones of EVAL.

Memory is bounded, unlike in Redis 7.2 and as in 7.4: of the scripts of EVAL the ones used last stay, and where all
texts together are too long, those go that were unused for longest. A client that meets NOSCRIPT sends the script again.

Threads share the cache. A batch sees it with its own changes (`ScriptView`), which reach it when the batch is done.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

from keyp.scripting.script import Script, digest, read_script

EVAL_SCRIPTS_MAX: Final = 500
TEXT_MAX: Final = 64 << 20  # bytes


class ScriptCache:
    """Scripts by digest. `loaded` says which of them SCRIPT LOAD has brought: they are not counted."""

    def __init__(self, text_max: int = TEXT_MAX) -> None:
        self._text_max = text_max
        self._scripts: dict[bytes, Script] = {}
        self._loaded: set[bytes] = set()
        self._guard = Lock()
        self._newest = b""  # the digest that was used last
        self.text_bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._scripts)

    def get(self, sha: bytes) -> Script | None:
        """The script with this digest; it is the one used last now."""
        if sha == self._newest:
            return self._scripts.get(sha)
        with self._guard:
            self._newest = sha
            script = self._scripts.get(sha)
            if script is not None and sha not in self._loaded:
                del self._scripts[sha]
                self._scripts[sha] = script
            return script

    def has(self, sha: bytes) -> bool:
        """Whether there is one."""
        return sha in self._scripts

    def reads_only(self, sha: bytes) -> bool:
        """Whether there is one, and it says that it writes nothing."""
        script = self._scripts.get(sha)
        return script is not None and script.is_read_only

    def add(self, script: Script, is_loaded: bool) -> None:
        """Takes up a script, and lets go of others where they are too many."""
        with self._guard:
            if is_loaded:
                self._loaded.add(script.sha)
            if script.sha not in self._scripts:
                self._scripts[script.sha] = script
                self._newest = script.sha
                self.text_bytes += len(script.text)
            if len(self._scripts) - len(self._loaded) > EVAL_SCRIPTS_MAX:
                self._evict(next(sha for sha in self._scripts if sha not in self._loaded))
            while self.text_bytes > self._text_max and len(self._scripts) > 1:
                self._evict(next(iter(self._scripts)))

    def _evict(self, sha: bytes) -> None:
        self.text_bytes -= len(self._scripts.pop(sha).text)
        self._loaded.discard(sha)
        self.evicted += 1

    def flush(self) -> None:
        """Forgets all scripts."""
        with self._guard:
            self._scripts = {}
            self._loaded = set()
            self.text_bytes = 0


class ScriptView:
    """The cache as one batch sees it: with the scripts that it has brought, or without those that it has flushed.

    A batch that is run again begins with an empty view. `apply` makes the changes real.
    """

    def __init__(self, cache: ScriptCache) -> None:
        self._cache = cache
        self._flushed = False
        self._added: dict[bytes, tuple[Script, bool]] = {}
        self.is_to_be_kept = False  # an effect is under way that calls `apply`

    def get(self, sha: bytes) -> Script | None:
        """The script with this digest, None where there is none."""
        found = self._added.get(sha)
        if found is not None:
            return found[0]
        return None if self._flushed else self._cache.get(sha)

    def has(self, sha: bytes) -> bool:
        """Whether there is one."""
        return sha in self._added or (not self._flushed and self._cache.has(sha))

    def take_up(self, text: bytes) -> tuple[Script, bool]:
        """The script of a text, and whether it is new. Raises `CommandError` for a shebang that is none."""
        sha = digest(text)
        script = self.get(sha)
        return (read_script(sha, text), True) if script is None else (script, False)

    def add(self, script: Script, is_loaded: bool) -> None:
        """A script is known from now on; it compiles."""
        self._added[script.sha] = (script, is_loaded)

    def flush(self) -> None:
        """Forgets all scripts."""
        self._flushed = True
        self._added = {}

    def apply(self) -> None:
        """The batch is done: all others see what it has changed."""
        if self._flushed:
            self._cache.flush()
        for script, is_loaded in self._added.values():
            self._cache.add(script, is_loaded)
        self._flushed = self.is_to_be_kept = False
        self._added = {}
