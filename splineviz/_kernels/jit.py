"""How kernels are kept: `njit` as numba's, with a cache that survives damage, and `step`, for parts of kernels.
Also the stamp of a kernel's file. How they are compiled is `compiling`'s.

    <kernels>/__pycache__/cutting.cut_faces-105.py311.nbi      numba's index of a kernel's compiled forms, with a stamp
                          cutting.cut_faces-105.py311.0f3a9c2e51b7d846.nbc
                                                               one of them, after the SHA-256 of its bytes

    stamp      digest of the kernel's file and of all kernel files that it imports, directly or through others; not of
               this one, which decides how kernels are kept

A kernel is compiled together with those that it calls, but numba looks at the time of the caller's file alone: after a
change of a file that it imports, the old code would run on. With the stamp it is compiled again, and only then; copying
the folder or checking out other files changes nothing.

numba believes what it finds in its cache: a file that was cut short (a full disk, a copy that broke off) ends every later
call with a traceback, and a changed byte is run as machine code. Here a file that is not what was written is deleted and
the kernel compiled again. Where neither the package nor the user's folder of caches can be written, kernels are kept in a
folder of /tmp that nobody else can write; where not even that, they are compiled anew by every process. Each of these is
said once. This file knows no kernel.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import re
import stat
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core import serialize
from numba.core.caching import FunctionCache, IndexDataCacheFile

from splineviz._kernels.compiling.haste import hasten

SEAL = hashlib.sha256().digest_size
KERNELS = Path(__file__).parent
IMPORTED = re.compile(rb"^\s*from splineviz\._kernels\.([\w.]+) import", re.MULTILINE)
"""How a kernel file names another one; a test says that there is no other way."""
_told: set[str] = set()
# A kernel asks Python for the types of what it returns, at every call, and numba does not look whether an exception came
# instead: one that a signal raises there (Ctrl-C in a notebook) ends the process with a segmentation fault. What functools
# remembers is handed out by C code, in which no signal is heard.
serialize._numba_unpickle = functools.cache(serialize._numba_unpickle)
hasten()


def njit(**options: Any) -> Callable[[Any], Any]:
    """numba.njit(**options); with cache=True the compiled kernel is kept as this file says."""
    cached = options.pop("cache", False)
    options.setdefault("no_cfunc_wrapper", True)  # with which C would call it

    def decorate(function: Any) -> Any:
        kernel = numba.njit(**options)(function)
        if cached and hasattr(kernel, "_cache"):  # a plain function under NUMBA_DISABLE_JIT
            cache = _cache_of(function)
            if cache is not None:
                kernel._cache = cache
        return kernel

    return decorate


def step(**options: Any) -> Callable[[Any], Any]:
    """numba.njit(**options) of a part of a kernel that Python never calls: compiled into its kernel, and so kept with it.

    Without the wrappers with which Python calls it: for groups of many arrays they take longer to compile than the rest.
    """
    return numba.njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)


def lean(**options: Any) -> Callable[[Any], Any]:
    """A step that neither makes nor returns an array, nor calls a step that is not lean: compiled without counting who holds
    the arrays that it is given.

    numba counts at every look into a tuple of arrays, by atomic additions that took half the time of some kernels, more
    where two threads read one array. Whoever calls it holds them all; what is made without being counted is never freed.
    """
    return step(_nrt=False, **options)


def _cache_of(function: Any) -> _Cache | None:
    """The cache of a kernel, in the first place that can be written; None where there is no such place."""
    try:
        return _Cache(function)
    except (RuntimeError, OSError):  # numba knows no place that it can write
        pass
    place, before = _private_folder(), numba.config.CACHE_DIR
    if place is not None:
        numba.config.CACHE_DIR = str(place)  # numba asks for it now and never again
        try:
            cache = _Cache(function)
            _tell(f"kernels are kept in {place}, as no lasting folder can be written (set NUMBA_CACHE_DIR to one that can)")
            return cache
        except (RuntimeError, OSError):
            pass
        finally:
            numba.config.CACHE_DIR = before
    _tell("no folder can be written, so every process compiles its kernels anew (set NUMBA_CACHE_DIR to one that can)")
    return None


@functools.cache
def _source(path: Path) -> tuple[bytes, frozenset[str]]:
    """Digest of a file, and the kernel files that it imports."""
    content = path.read_bytes()
    return hashlib.sha256(content).digest(), frozenset(name.decode() for name in IMPORTED.findall(content)) - {"jit"}


def stamp(path: Path) -> str:
    """Digest of a file with kernels and of all kernel files that it imports, directly or through others. Raises OSError."""
    todo, found = [path], dict[str, bytes]()
    while todo:
        digest, names = _source(todo.pop())
        found.setdefault("", digest)  # wherever the first one lies
        new = names - found.keys()
        paths = {name: KERNELS.joinpath(*name.split(".")).with_suffix(".py") for name in new}
        todo += paths.values()
        found |= {name: _source(path)[0] for name, path in paths.items()}
    return hashlib.sha256(b"".join(name.encode() + found[name] for name in sorted(found))).hexdigest()


def _private_folder() -> Path | None:
    """A folder for temporary files that is this user's own: whoever could write there could make us run machine code."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    try:
        place = Path(tempfile.gettempdir()) / f"splineviz-kernels-{user}"
        with suppress(FileExistsError):
            place.mkdir(mode=0o700)
        found = os.lstat(place)
        mine = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o077)
        if stat.S_ISDIR(found.st_mode) and mine and os.access(place, os.W_OK | os.X_OK):
            return place
        return Path(tempfile.mkdtemp(prefix="splineviz-kernels-"))  # somebody else was there first
    except OSError:
        return None


class _Cache(FunctionCache):  # type: ignore[misc]
    """numba's cache of one kernel; what cannot be read is deleted, what cannot be written is left out.

    meanwhile: spends some time while another process compiles the kernel for this cache; False when it has ended.
    """

    meanwhile: Callable[[], bool] | None = None

    def __init__(self, function: Any):
        super().__init__(function)
        self._cache_file.__class__ = _Files
        self._cache_file._version = f"{numba.__version__}, sealed"  # so that an older index is none, and not a damaged one
        self._cache_file._source_stamp = stamp(Path(function.__code__.co_filename))

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The compiled form for a signature, None when there is none, or it is damaged."""
        found = self._loaded(signature, target)
        while found is None and self.meanwhile is not None:
            if not self.meanwhile():
                self.meanwhile = None
            found = self._loaded(signature, target)
        return found

    def holds(self, signature: Any, target: Any) -> bool:
        """Whether there is a compiled form for a signature."""
        with suppress(Exception):  # a damaged index: that is seen to when the kernel is called
            return self._index_key(signature, target.codegen()) in self._cache_file._load_index()
        return False

    def _loaded(self, signature: Any, target: Any) -> Any:
        try:
            return super().load_overload(signature, target)
        except Exception:  # a pickle, or LLVM, may raise anything
            self._cache_file.forget()
            _tell(f"a damaged kernel in {self._cache_path} was deleted and is compiled again")
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep a compiled form, if there is room."""
        try:
            super().save_overload(signature, data)
        except Exception as error:  # it is in memory, where it is needed
            self._cache_file.forget()
            _tell(f"{self._cache_path} took no kernels ({type(error).__name__}), so they are compiled again next time")


class _Files(IndexDataCacheFile):  # type: ignore[misc]
    """A kernel's index and its compiled forms, each after the digest of its bytes."""

    def save(self, key: Any, data: Any) -> None:
        """Keep a compiled form under a name that no other form has.

        numba numbers its files by what the index says at the moment. Of two processes that begin with an empty cache, for
        other types or on machines of other kinds, both take the first number, and one would run the other's code.
        """
        form = hashlib.sha256(repr((self._source_stamp, key)).encode()).hexdigest()[:16]
        name = f"{self._index_name.removesuffix('nbi')}{form}.nbc"
        self._save_data(name, data)
        overloads = self._load_index()
        if overloads.get(key) != name:
            self._save_index(overloads | {key: name})

    def forget(self) -> None:
        """Delete the files of this kernel."""
        folder = Path(self._cache_path)
        base = self._index_name.removesuffix("nbi")
        with suppress(OSError):
            for path in folder.iterdir():
                if path.name == self._index_name or (path.name.startswith(base) and path.name.endswith(".nbc")):
                    path.unlink(missing_ok=True)

    def _dump(self, obj: Any) -> bytes:
        content: bytes = super()._dump(obj)
        return hashlib.sha256(content).digest() + content

    def _load_index(self) -> Any:
        try:
            with open(self._index_path, "rb") as stream:
                version = pickle.load(stream)  # of numba, or of a file that is no index
                content = stream.read()
        except FileNotFoundError:
            return {}
        if version != self._version:
            return {}
        source, overloads = pickle.loads(_opened(content))
        return overloads if source == self._source_stamp else {}

    def _load_data(self, name: str) -> Any:
        return pickle.loads(_opened(Path(self._data_path(name)).read_bytes()))


def _opened(content: bytes) -> bytes:
    if hashlib.sha256(content[SEAL:]).digest() != content[:SEAL]:
        raise ValueError("expected the bytes that were written, got others")
    return content[SEAL:]


def _tell(text: str) -> None:
    if text not in _told:
        _told.add(text)
        warnings.warn(f"splineviz: {text}.", RuntimeWarning, stacklevel=2)
