"""Compiles the hot modules with mypyc where that is possible; without a compiler the same files run as they are.

KEYP_COMPILE=0 leaves it out, KEYP_COMPILE=1 makes it an error where it is not possible.

mypyc writes a C file for each module and each becomes a library of its own, so that one edit changes few of them. What
every request passes through is one C file and one library instead: calls inside it are direct or inlined, which makes a
GET 5 to 8 % faster. They are compiled in as many processes as there are cores. Everything that is made on the way stays
in `build`: what mypy knows of each module, the C files, their objects. An object is made again only when something has
changed that goes into it, and the note beside it says what that was; times of files say nothing about that, as a
checkout sets them anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from setuptools import Distribution, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import BaseError, CCompilerError

# Compiled is every module, so that a request passes through nothing else between Twisted's transport and LMDB; but not
# these, which run once or for themselves, or have Twisted's own classes for ancestors.
NOT_COMPILED = (
    "__init__.py",
    "__main__.py",
    "main.py",
    "commands/lcs.py",
    "execution/recovery.py",
    "execution/saving.py",
    "net/config_file.py",
    "net/endpoints/",
    "net/log_file.py",
    "net/memory.py",
    "net/options.py",
    "net/pid_file.py",
    "net/reactor.py",
    "net/server.py",
    "net/service.py",
    "net/signals.py",
    "net/tls.py",
    "server/config/",
    "server/process.py",
    "tools/",
)

# One library: the modules that a GET or SET passes through.
PATH_OF_A_REQUEST = (
    "command/context.py",
    "command/registry.py",
    "command/spec.py",
    "commands/strings.py",
    "errors.py",
    "events.py",
    "execution/apply.py",
    "execution/batch.py",
    "execution/commit.py",
    "execution/commit_delay.py",
    "execution/dispatcher.py",
    "execution/executor.py",
    "execution/group_commit.py",
    "execution/shared_snapshot.py",
    "net/backlog.py",
    "net/connection.py",
    "net/outbox.py",
    "net/read_size.py",
    "resp/",
    "server/acl/users.py",
    "server/clients.py",
    "server/metrics.py",
    "storage/access_times.py",
    "storage/keys/keyspace.py",
    "storage/lmdb/environment.py",
    "storage/lmdb/layout.py",
    "storage/lmdb/proof.py",
    "storage/lmdb/transaction.py",
    "storage/types/strings.py",
    "storage/value_types.py",
)
LIBRARY = "keyp.path_of_a_request"

# Below `build`, which is below the current directory, as mypyc wants it.
C_FILES = "build/mypyc"
TYPES = "build/mypy"

INCLUDED = re.compile(rb'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def modules(root: Path = Path()) -> list[str]:
    """The paths of the modules to compile, from the root of the checkout on."""
    package = root / "keyp"
    chosen = []
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if path.name != "__init__.py" and not name.startswith(NOT_COMPILED):
            chosen.append(path.relative_to(root).as_posix())
    return chosen


def wish() -> str:
    """What KEYP_COMPILE says: `0`, `1`, or nothing."""
    return os.environ.get("KEYP_COMPILE", "")


def obstacle() -> str:
    """Why nothing can be compiled here; empty where it can."""
    try:
        import mypyc.build  # noqa: F401 - whether it is there
    except ImportError:
        return "mypyc is missing"
    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(command) is None:
        return f"there is no C compiler ({command})"
    if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
        return "Python's headers are missing (python3-dev)"
    return ""


class Progress:
    """Shows how far the build is: a line for each stage, and how much of the stage is done.

    An installer hides the output of a build. Where it runs in a terminal, the progress is written there.
    """

    def __init__(self) -> None:
        self._stream: TextIO | None = None
        self._tenth = -1

    def stage(self, text: str) -> None:
        """A long stage begins."""
        self._tenth = -1
        self._write(text)

    def done(self, text: str, count: int, total: int) -> None:
        """So many of all are done. On a terminal the line counts, elsewhere there is a line for each tenth."""
        tenth = 10 * count // total
        if self._out().isatty() or tenth != self._tenth:
            self._write(f"{text} {count} of {total}")
        self._tenth = tenth

    def end(self, text: str) -> None:
        """All is done."""
        self._write(text)
        if self._out() is sys.stderr and sys.stderr.isatty():
            sys.stderr.write("\n")

    def _write(self, text: str) -> None:
        out = self._out()
        with contextlib.suppress(OSError):
            out.write(f"\r\033[K  keyp: {text} " if out.isatty() else f"keyp: {text}\n")
            out.flush()

    def _out(self) -> TextIO:
        if self._stream is None:
            self._stream = sys.stderr
            if not sys.stderr.isatty():
                with contextlib.suppress(OSError):
                    self._stream = _own_terminal() or sys.stderr
        return self._stream


def _own_terminal() -> TextIO | None:
    """The terminal this process is run from, if it is in the foreground. Raises OSError where there is none."""
    fd = os.open("/dev/tty", os.O_WRONLY | os.O_CLOEXEC)
    if os.tcgetpgrp(fd) != os.getpgrp():
        os.close(fd)
        return None
    return os.fdopen(fd, "w")


PROGRESS = Progress()


class KeypDistribution(Distribution):
    """Knows whether there is something to compile before the modules are translated."""

    def has_ext_modules(self) -> bool:
        """Whether the wheel is for this platform alone. Ends the build where KEYP_COMPILE=1 cannot be fulfilled."""
        if wish() == "0":
            return False
        reason = obstacle()
        if reason and wish() == "1":
            sys.exit(f"keyp: cannot be compiled: {reason}")
        return not reason


class Build(build_py):
    """Copies the modules, and takes away what an earlier build has left that is not in the sources any more."""

    def run(self) -> None:
        """Called by setuptools."""
        super().run()
        if not self.editable_mode:
            copied = set(map(os.path.normpath, self.get_outputs()))
            for path in Path(self.build_lib).rglob("*.py"):
                if os.path.normpath(path) not in copied:
                    path.unlink()


class Compile(build_ext):
    """Has mypyc write C files, compiles those that have changed, and links them."""

    def run(self) -> None:
        """Called by setuptools. Translates only now, since mypyc takes long."""
        if not self.distribution.has_ext_modules():
            return
        self.distribution.ext_modules = write_c_files()
        self.swig_opts = None  # else it would be taken apart a second time
        self.finalize_options()
        self._remove_left_over()
        super().run()

    def build_extensions(self) -> None:
        """Called by setuptools: brings every object and every library up to date, or removes them all."""
        try:
            self._compile()
            self._link()
        except (BaseError, CCompilerError, OSError) as error:
            if wish() == "1":
                raise
            for extension in self.extensions:  # a part of them would look for the rest in vain
                extension.optional = True
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            PROGRESS.end(f"cannot be compiled, it is installed as plain Python: {error}")

    def _remove_left_over(self) -> None:
        """Libraries of modules that are not compiled any more."""
        wanted = {os.path.normpath(self.get_ext_fullpath(extension.name)) for extension in self.extensions}
        for path in Path(self.build_lib).rglob("*.so"):
            if os.path.normpath(path) not in wanted:
                path.unlink()

    def _compile(self) -> None:
        objects: dict[str, Object] = {}
        self._libraries: dict[Path, str] = {}  # a note for each that is to be linked, and what is to stand in it
        for extension in self.extensions:
            paths = self.compiler.object_filenames(extension.sources, output_dir=self.build_temp)
            for source, path in zip(extension.sources, paths, strict=True):
                if path not in objects:
                    objects[path] = Object(self, extension, source, path)
            digest = repr([(path, objects[path].digest) for path in paths])
            note = Path(self.build_temp, f"{extension.name}.made-of")
            library = Path(self.get_ext_fullpath(extension.name))
            if not library.exists() or not _says(note, digest):
                library.unlink(missing_ok=True)  # else setuptools might find it new enough
                self._libraries[note] = digest
        stale = [each for each in objects.values() if each.is_stale]
        stale.sort(key=lambda each: each.source_bytes, reverse=True)  # so that none is left to a single core at the end
        with ThreadPoolExecutor(cores()) as pool:
            compiling = [pool.submit(each.make) for each in stale]
            try:
                for count, done in enumerate(as_completed(compiling), 1):
                    done.result()
                    PROGRESS.done("compiling", count, len(stale))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _link(self) -> None:
        PROGRESS.stage("linking")
        compiler = self.compiler
        # The objects are there; setuptools knows how to make libraries of them.
        compiler.compile = lambda sources, output_dir, **_: compiler.object_filenames(sources, output_dir=output_dir)
        self.parallel = cores()
        super().build_extensions()
        for note, digest in self._libraries.items():
            note.write_text(digest)
        PROGRESS.end("compiled")


def _says(note: Path, text: str) -> bool:
    return note.exists() and note.read_text() == text


class Object:
    """One C file, and the object that is made of it."""

    def __init__(self, command: Compile, extension: Any, source: str, path: str) -> None:
        self._command = command
        self._extension = extension
        self._source = source
        self.source_bytes = os.path.getsize(source)
        self._path = Path(path)
        self._note = Path(path + ".made-of")
        self.digest = self._made_of()
        self.is_stale = not (self._path.exists() and _says(self._note, self.digest))

    def _made_of(self) -> str:
        """A digest of all that decides what is in the object."""
        digest = hashlib.sha256(repr((sys.version, metadata.version("mypy"))).encode())
        digest.update(repr((self._command.compiler.compiler_so, self._extension.extra_compile_args)).encode())
        for path in _with_included(Path(self._source), self._extension.include_dirs):
            digest.update(_look_at(path)[0])
        return digest.hexdigest()

    def make(self) -> None:
        """Compiles it. Raises what setuptools raises."""
        self._note.unlink(missing_ok=True)
        self._command.compiler.compile(
            [self._source],
            output_dir=self._command.build_temp,
            include_dirs=self._extension.include_dirs,
            debug=self._command.debug,
            extra_postargs=self._extension.extra_compile_args,
        )
        self._note.write_text(self.digest)


@cache
def _look_at(path: Path) -> tuple[bytes, list[str]]:
    """The digest of a file, and the names of those it includes."""
    data = path.read_bytes()
    return hashlib.sha256(data).digest(), [name.decode() for name in INCLUDED.findall(data)]


def _with_included(path: Path, include_dirs: list[str]) -> Iterator[Path]:
    """A C file and what it includes of those that mypyc wrote, in an order that depends on nothing else."""
    seen = [path]
    for file in seen:
        yield file
        for name in _look_at(file)[1]:
            for folder in (file.parent, Path(C_FILES)):
                found = Path(os.path.normpath(folder / name))
                if found.exists():
                    if found not in seen:
                        seen.append(found)
                    break


def cores() -> int:
    """How many processes can run at the same time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_c_files() -> list[Any]:
    """Has mypyc translate the modules; what setuptools is to build of them, nothing where mypyc does not take them."""
    from mypyc.build import mypycify

    PROGRESS.stage("checking types and translating to C")
    path_of_a_request = [path for path in modules() if path.removeprefix("keyp/").startswith(PATH_OF_A_REQUEST)]
    try:
        extensions = mypycify(
            [f"--cache-dir={TYPES}", *modules()],
            opt_level="2",
            debug_level="0",
            separate=[(path_of_a_request, LIBRARY)],
            include_runtime_files=False,
            target_dir=C_FILES,
        )
    except SystemExit:  # a mypy that is stricter than the one we know
        if wish() == "1":
            raise
        PROGRESS.end("mypyc does not take the sources; they are installed as plain Python")
        return []
    # mypyc forgets parts of its run-time library where it has modules in its cache. They are there from the first time.
    library = {path.as_posix() for path in Path(C_FILES).glob("*.c")}
    for extension in extensions:
        # Calls inside a library then need no table. (mypyc gives all of them the same list.)
        extension.extra_compile_args = [*extension.extra_compile_args, "-fvisibility=hidden"]
        if extension.name.startswith(LIBRARY):
            extension.extra_compile_args.append("-O3")
        if library & set(extension.sources):
            extension.sources = sorted(library | set(extension.sources))
    # Whose arguments come first the run-time library is compiled with: always the same.
    return sorted(extensions, key=lambda extension: not extension.name.startswith(LIBRARY))


if __name__ == "__main__":
    setup(distclass=KeypDistribution, cmdclass={"build_py": Build, "build_ext": Compile})
