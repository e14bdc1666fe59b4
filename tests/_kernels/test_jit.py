"""Kernels that are kept: damage is mended with one line, and there is always a place, or none is needed."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytest
from numba.core import caching

from splineviz._kernels import jit
from splineviz._kernels.compiling import haste

KERNEL = """
from splineviz._kernels.jit import njit

@njit(cache=True)
def twice(x):
    return 2 * x + 1
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "kernel.py").write_text(KERNEL)
    monkeypatch.setattr(jit, "_told", set())
    return tmp_path


def called(place: Path) -> tuple[ModuleType, list[str]]:
    """The kernel as another process would call it, and what was said."""
    spec = importlib.util.spec_from_file_location("kernel", place / "kernel.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        spec.loader.exec_module(module)
        assert module.twice(20) == 41
    return module, [str(one.message) for one in said]


def hits(module: ModuleType) -> int:
    return sum(module.twice.stats.cache_hits.values())


def kept(place: Path, ending: str) -> Path:
    (path,) = (place / "__pycache__").glob(f"*.{ending}")
    return path


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("watched", [True, False])
def test_who_waits_for_kernels_is_told_once(place, monkeypatch, capsys, watched):
    monkeypatch.setattr(haste, "_is_watched", lambda: watched)
    monkeypatch.setattr(haste.LISTENER, "told", False)
    module = called(place)[0]
    assert not capsys.readouterr().err, "kernels of others are their own affair"
    module.twice.py_func.__module__ = "splineviz._kernels.twice"
    module.twice(1.5)
    module.twice(1.5j)
    assert capsys.readouterr().err.count("compiling kernels, once") == watched


DAMAGE = {
    "empty": lambda content: b"",
    "a few bytes": lambda content: content[:5],
    "half": lambda content: content[: len(content) // 2],
    "all but the last byte": lambda content: content[:-1],
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "garbage": lambda content: bytes(range(256)) * 3,
}


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_a_damaged_file_is_deleted_and_said_once(place, ending, damage):
    assert called(place)[1] == []
    module, said = called(place)
    assert hits(module) == 1 and said == []
    path = kept(place, ending)
    path.write_bytes(damage(path.read_bytes()))
    module, said = called(place)
    assert hits(module) == 0
    assert len(said) == 1 and "was deleted and is compiled again" in said[0] and "\n" not in said[0]
    module, said = called(place)
    assert hits(module) == 1 and said == [], "mended"


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_two_that_begin_at_once_do_not_run_each_others_code(place, monkeypatch):
    """As the jobs of an array do, with an empty cache; for other types here, for machines of other kinds there."""
    save, begun = jit._Files._save_data, []

    def later(self, name, data):
        if not begun:  # the other looked into the index before this one wrote it, and is done before this one's code is kept
            begun.append(True)
            with monkeypatch.context() as before:
                before.setattr(jit._Files, "_load_index", lambda self: {})
                other.twice(1.5j)
        save(self, name, data)

    other = called(place)[0]
    for path in (place / "__pycache__").glob("*.nb?"):
        path.unlink()
    monkeypatch.setattr(jit._Files, "_save_data", later)
    called(place)
    monkeypatch.undo()
    assert begun
    module = called(place)[0]
    assert module.twice(1.5j) == 1 + 3j and module.twice(20) == 41


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_a_cache_of_numba_itself_is_replaced_in_silence(place):
    (place / "kernel.py").write_text(KERNEL.replace("splineviz._kernels.jit", "numba"))
    assert called(place)[1] == []
    stamp = (place / "kernel.py").stat()
    (place / "kernel.py").write_text(KERNEL)
    os.utime(place / "kernel.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert called(place)[1] == []
    assert hits(called(place)[0]) == 1


PARTS = {
    "innermost": "ONE = 1\n",
    "inner": """
from splineviz._kernels.innermost import ONE
from splineviz._kernels.jit import njit

@njit(cache=True)
def raised(x):
    return 2 * x + ONE
""",
    "kernel": """
from splineviz._kernels.inner import raised
from splineviz._kernels.jit import njit

@njit(cache=True)
def twice(x):
    return raised(x)
""",
}


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize(
    ("name", "old", "new", "value"),
    [("innermost", "ONE = 1", "ONE = 3", 43), ("inner", "2 * x", "3 * x", 61), ("kernel", "raised(x)", "raised(7)", 15)],
)
def test_a_change_of_any_file_that_went_into_a_kernel_compiles_it_again(place, monkeypatch, name, old, new, value):
    """numba looks at the time of the caller's file alone. Here all times stay the same, and then all change."""
    monkeypatch.setattr(jit, "KERNELS", place)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def read(texts: dict[str, str], time: float) -> tuple[int, int]:
        """What the kernel gives for 20 in a new process, and how many compiled forms it found."""
        jit._source.cache_clear()
        for part, text in texts.items():
            (place / f"{part}.py").write_text(text)
            os.utime(place / f"{part}.py", (time, time))
            spec = importlib.util.spec_from_file_location(f"splineviz._kernels.{part}", place / f"{part}.py")
            assert spec is not None and spec.loader is not None
            monkeypatch.setitem(sys.modules, spec.name, module := importlib.util.module_from_spec(spec))
            spec.loader.exec_module(module)
        return module.twice(20), hits(module)

    assert read(PARTS, 1e9) == (41, 0) and read(PARTS, 1e9) == (41, 1)
    changed = PARTS | {name: PARTS[name].replace(old, new)}
    assert changed != PARTS and read(changed, 1e9) == (value, 0)
    assert read(changed, 1.1e9) == (value, 1), "times count for nothing"
    assert read(PARTS, 1.1e9) == (41, 0)


def test_kernel_files_are_stamped_with_all_that_they_import():
    """They name each other in one way, and take numba's decorators from `jit` alone."""
    for path in jit.KERNELS.rglob("*.py"):
        text = path.read_text()
        imported = set(re.findall(r"^\s*(?:from|import) ([\w.]+)", text, re.MULTILINE))
        ours = {name for name in imported if name.startswith("splineviz")} - {"splineviz.errors", "splineviz._kernels.jit"}
        assert ours == {f"splineviz._kernels.{name}" for name in jit._source(path)[1]}, path.name
        numbas = {name for name in imported if name.startswith("numba")}
        assert not numbas or path == jit.KERNELS / "jit.py" or path.parent == jit.KERNELS / "compiling", path.name
    stamps = {path: jit.stamp(path) for path in jit.KERNELS.rglob("*.py")}
    assert len(set(stamps.values())) == len(stamps)


class Writable:
    """tempfile as numba asks it whether a folder can be written: only below one, or nowhere."""

    def __init__(self, below: Path | None):
        self.below = below

    def TemporaryFile(self, dir: str) -> object:  # noqa: N802, A002
        if self.below is None or not Path(dir).is_relative_to(self.below):
            raise PermissionError(13, "Permission denied", dir)
        return tempfile.TemporaryFile(dir=dir)

    def __getattr__(self, name: str) -> object:
        return getattr(tempfile, name)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_without_a_home_kernels_lie_in_a_private_folder(place, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setattr(caching, "tempfile", Writable(place / f"splineviz-kernels-{os.getuid()}"))
    before = numba.config.CACHE_DIR
    _, said = called(place)
    private = place / f"splineviz-kernels-{os.getuid()}"
    assert len(said) == 1 and f"kept in {private}" in said[0]
    assert private.stat().st_mode & 0o777 == 0o700 and list(private.rglob("*.nbc"))
    module, said = called(place)
    assert hits(module) == 1 and said == [] and numba.config.CACHE_DIR == before
    monkeypatch.setattr(caching, "tempfile", Writable(None))
    jit._told.clear()
    module, said = called(place)
    assert hits(module) == 0 and len(said) == 1 and "every process compiles its kernels anew" in said[0]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no users")
def test_a_folder_that_somebody_prepared_is_not_used(place, monkeypatch):
    """A pickle that lies there would be run."""
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    name = place / f"splineviz-kernels-{os.getuid()}"
    (place / "theirs").mkdir()
    name.symlink_to(place / "theirs")
    assert jit._private_folder() not in (name, place / "theirs")
    name.unlink()
    name.mkdir(mode=0o777)
    name.chmod(0o777)
    found = jit._private_folder()
    assert found is not None and found != name and found.stat().st_mode & 0o077 == 0
    name.rmdir()
    assert jit._private_folder() == name == jit._private_folder()


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_a_full_disk_costs_a_compilation_and_no_traceback(place, monkeypatch):
    def full(self: object, name: str, data: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jit._Files, "_save_data", full, raising=False)
    _, said = called(place)
    assert len(said) == 1 and "took no kernels" in said[0]
    assert not list((place / "__pycache__").glob("*.nb?"))


def test_a_lean_part_does_not_count_who_holds_its_arrays() -> None:
    @jit.lean()
    def total(pair, i):  # type: ignore[no-untyped-def]
        return pair[0][i] + pair[1][i]

    @numba.njit
    def totals(pair, found):  # type: ignore[no-untyped-def]
        for i in range(len(found)):
            found[i] = total(pair, i)

    pair, found = (np.arange(3.0), np.ones(3)), np.empty(3)
    totals(pair, found)
    assert found.tolist() == [1.0, 2.0, 3.0]
    (code,) = total.inspect_llvm().values()
    assert "@NRT_incref(" not in code


def test_a_lean_part_that_makes_an_array_is_refused() -> None:
    @jit.lean()
    def made(n):  # type: ignore[no-untyped-def]
        return np.zeros(n)

    @numba.njit
    def first(n):  # type: ignore[no-untyped-def]
        return made(n)[0]

    with pytest.raises(Exception, match="Only accept returning of array passed"):
        first(3)


def test_lean_parts_call_no_step_that_is_not() -> None:
    functions = {}
    for path in sorted(jit.KERNELS.rglob("*.py")):
        for one in ast.parse(path.read_text()).body:
            if isinstance(one, ast.FunctionDef) and one.decorator_list:
                functions[path, one.name] = one, ast.unparse(one.decorator_list[0])
    steps = {name for (_, name), (_, kept) in functions.items() if kept.startswith("step(") and "inline" not in kept}
    lean = {place: one for place, (one, kept) in functions.items() if kept.startswith("lean(")}
    assert len(lean) > 20
    for (path, name), one in lean.items():
        own = {other for (file, other) in lean if file == path}
        called = {ast.unparse(call.func) for call in ast.walk(one) if isinstance(call, ast.Call)}
        assert not called & steps - own, (path.name, name)
