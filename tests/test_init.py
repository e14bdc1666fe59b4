"""The public names: lazily imported, and functions that no submodule may hide."""

import importlib
import pickle
import subprocess
import sys
from types import ModuleType

import pytest

import splineviz as sv

NAMES_OF_0_1 = """
    CertificateReport Crossings Deformation Estimate KnotDensity LCOptions LocalComplexity Monitor Part
    Partition Plane Program Recorder Run Sweep Tile animate boundary boundary_density certificate complexity
    compare crossings deformation diamonds draw errors estimate explore export figure figures
    gradient_complexity lightning_callback liveness local_complexity measure_run measures open_run part
    partition recipes robust_accuracy robustness runs sew surface sweep tour tidy tiles trace verify window_for
""".split()
COMMANDS_OF_0_1 = """
    train animate watch tour compare partition figure estimate study reproduce sweep status explore info verify
    doctor complete
""".split()


def test_every_name_and_command_of_0_1_is_still_there() -> None:
    from splineviz.commands import COMMANDS

    assert set(NAMES_OF_0_1) <= set(sv.__all__)
    assert set(COMMANDS_OF_0_1) <= set(COMMANDS)


@pytest.mark.parametrize("name", ["partition", "animate", "explore", "figure", "tiles", "compare", "sweep"])
def test_importing_modules_hides_no_function(name: str) -> None:
    code = (
        "import importlib, pkgutil, types, splineviz as sv\n"
        "for found in pkgutil.iter_modules(sv.__path__):\n"
        "    importlib.import_module('splineviz.' + found.name) if found.name != '__main__' else None\n"
        f"assert isinstance(sv.{name}, types.FunctionType), sv.{name}\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("name", sv.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(sv, name)
    assert name in dir(sv)
    if not isinstance(value, ModuleType):
        assert getattr(importlib.import_module(value.__module__), value.__name__) is value


def test_the_list_of_names_is_the_public_ones() -> None:
    assert [name for name in dir(sv) if not name.startswith("__")] == sorted(sv.__all__)


def test_functions_with_the_name_of_a_room_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(sv.partition)) is sv.partition
    assert pickle.loads(pickle.dumps(sv.animate)) is sv.animate


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'partitions'"):
        sv.partitions  # noqa: B018


def test_a_test_may_still_replace_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sv, "partition", len)
    assert sv.partition([]) == 0


def test_import_costs_nothing() -> None:
    heavy = "torch", "numpy", "numba", "matplotlib"
    code = f"import sys, splineviz; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"
