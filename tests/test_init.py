"""The public names: lazily imported, and functions that no submodule may hide."""

import importlib
import pickle
import subprocess
import sys
from types import ModuleType

import pytest

import splineviz as sv

ORDERS = {
    "function first": "import splineviz as sv; sv.partition; sv.animate; import splineviz.partition, splineviz.animate",
    "submodule first": "import splineviz.partition, splineviz.animate, splineviz as sv",
    "submodule by name": "from splineviz.geometry.partition import Report; from splineviz.workflows.animate import KEY; import splineviz as sv",
    "through a room above": "import splineviz.figures, splineviz.regions.enumerate, splineviz as sv",
    "importlib": "import importlib; importlib.import_module('splineviz.partition'); import splineviz as sv",
    "star": "from splineviz import *; import splineviz as sv; import splineviz.animate",
    "reload": "import importlib, splineviz.partition, splineviz as sv; importlib.reload(sv); sv.partition",
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
def test_partition_and_animate_are_functions_in_every_order_of_imports(order: str) -> None:
    check = (
        "import sys, types\n"
        "for name, home in (('partition', 'enumerate'), ('animate', 'animate')):\n"
        "    value = getattr(sv, name)\n"
        "    assert isinstance(value, types.FunctionType), (name, value)\n"
        "    assert value.__module__ == 'splineviz.' + home, value.__module__\n"
        "assert isinstance(sys.modules['splineviz.partition'], types.ModuleType)\n"
        "from splineviz.geometry.partition import Partition as again\n"
        "assert again is sv.Partition\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", f"{order}\n{check}"], check=True, timeout=120)


@pytest.mark.parametrize("name", sv.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(sv, name)
    assert name in dir(sv)
    if not isinstance(value, ModuleType):
        assert getattr(importlib.import_module(value.__module__), value.__name__) is value


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
