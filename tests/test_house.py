"""House rules that no linter knows: the table of files is true, files stay short, docs run, only the command line prints."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from signatures import arguments, described, public

import splineviz
from splineviz.commands import COMMANDS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "splineviz"
FILES = sorted(PACKAGE.rglob("*.py"))
PACKAGES = sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists())
MODULES = sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in FILES if path.stem != "__init__")
TESTS = ROOT / "tests"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LONGEST_FILE, LONGEST_FUNCTION = 400, 60

SUBJECTS = {"jupyter", "viewer", "max_certificate", "maxima", "memory", "networks", "operations", "merging", "firefox",
            "front", "adversaries", "hands", "layout", "displays", "rounding", "colors", "life", "loved", "wrong"}
"""Tests of what several modules do together."""

every_file = pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(PACKAGE)) for p in FILES])


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@every_file
def test_a_file_is_short_and_says_what_it_owns(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_FILE, "split it by what it talks about"
    assert len((ast.get_docstring(ast.parse(text)) or "").split()) >= 4


@every_file
def test_functions_are_short(path: Path) -> None:
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions(ast.parse(path.read_text())) if f.end_lineno is not None}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FUNCTION} == {}


@every_file
def test_what_is_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    owners = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))]
    members = [node for owner in owners for node in owner.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    public = [node for node in members if not node.name.startswith("_")]
    assert [node.name for node in public if not ast.get_docstring(node)] == []


@every_file
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    if path.name == "__main__.py" or path.parent.name == "commands":
        return
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not {"print", "exit", "breakpoint"} & {call.id for call in calls if isinstance(call, ast.Name)}


def test_commands_print_through_the_one_place_that_lets_no_escape_of_a_file_name_through() -> None:
    for path in (PACKAGE / "commands").glob("*.py"):
        if path.name not in ("terminal.py", "complete.py"):
            assert not re.search(r"(?<![\w.])print\(", path.read_text()), f"{path.name}: terminal.say"


def test_no_room_is_called_after_nothing() -> None:
    assert not {"utils", "util", "core", "helpers", "common", "misc"} & {path.stem for path in FILES}


def tables_of_modules() -> list[str]:
    """package.module of every row of the tables in docs/DESIGN.md."""
    found, package = [], ""
    for line in DESIGN.splitlines():
        if heading := re.fullmatch(r"### `(\w+)/`", line):
            package = heading[1]
        elif row := re.match(r"\| `(\w+)\.py` ", line):
            found.append(f"{package}.{row[1]}")
    return found


DESIGN = (ROOT / "docs" / "DESIGN.md").read_text()
CONTRACT = next(c for c in PROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")


def test_the_tables_of_modules_are_true() -> None:
    commands = {f"commands.{name}" for name in COMMANDS}
    described = {module for module in MODULES if "." in module and not module.startswith("_kernels.")}
    assert sorted(tables_of_modules()) == sorted(described - commands)


def test_the_house_can_be_walked_through() -> None:
    assert len([module for module in MODULES if "." not in module]) + 1 <= 5, "modules at the root, with __init__"
    for folder in {path.parent for path in FILES} - {PACKAGE}:
        assert len(list(folder.glob("*.py"))) - 1 <= 22, folder.name


def test_the_contract_has_few_floors_and_few_exceptions() -> None:
    floors = [re.findall(r"\w+", layer) for layer in CONTRACT["layers"]]
    assert len(floors) <= 9 and len(CONTRACT["ignore_imports"]) <= 3
    rooms = {name for floor in floors for name in floor}
    assert rooms == {*PACKAGES, *(module for module in MODULES if "." not in module)}
    drawing = re.search(r"^    __main__.*?\n\n", DESIGN, re.MULTILINE | re.DOTALL)
    assert drawing is not None
    assert [re.split(r" {3,}", line.strip())[0].split(" | ") for line in drawing[0].strip().splitlines()] == floors


def test_the_tests_mirror_the_packages() -> None:
    """A test file stands in the folder of its package, or has its name; the root has those of the whole."""
    for path in sorted(TESTS.rglob("test_*.py")):
        folder, subject = path.parent.relative_to(TESTS), path.stem.removeprefix("test_")
        assert str(folder) in {*PACKAGES, ".", "support", "faults", "soak", "corpus"}, path
        if str(folder) in PACKAGES and subject not in SUBJECTS:
            assert f"{folder}.{subject}" in MODULES or (PACKAGE / folder / subject).is_dir(), f"{path}: no such module"


def test_every_dependency_has_a_pin() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==([\d.]+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    project = PROJECT["project"]
    for line in [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]:
        name, minimum = re.fullmatch(r"([\w.-]+)>=([\d.]+)", line).groups()  # type: ignore[union-attr]
        assert numbers(pinned[name]) >= numbers(minimum), f"{name}: the pin is below the minimum"


def test_the_oldest_releases_are_those_that_the_project_allows() -> None:
    oldest = dict(re.findall(r"^([\w.-]+)==([\d.]+)$", (ROOT / "constraints-min.txt").read_text(), re.MULTILINE))
    project, met = PROJECT["project"], set()
    for line in [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]:
        name, minimum = re.fullmatch(r"([\w.-]+)>=([\d.]+)", line).groups()  # type: ignore[union-attr]
        if name in oldest:
            met.add(name)
            assert (numbers(oldest[name]) + [0, 0])[:3] == (numbers(minimum) + [0, 0])[:3], name
    assert {re.split("[>=]", line)[0] for line in project["dependencies"]} <= met


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_the_version_is_said_once() -> None:
    from splineviz import __version__

    assert PROJECT["project"]["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_table_of_places_in_contributing_names_what_is_there() -> None:
    table = re.findall(r"^\| (?:a|an) .*", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    places = re.findall(r"`([\w/]+(?:\.py|/))`", "\n".join(table))
    assert len(table) >= 10 and [place for place in places if "/" in place and not (ROOT / place).exists()] == []


def test_public_functions_say_what_each_of_many_arguments_is() -> None:
    """With more than four arguments a docstring has one entry for each, of the same names as the signature."""
    many = {name: thing for name, thing in public(splineviz) if len(arguments(thing)) > 4}
    assert len(many) >= 20 and {"animate", "figure", "open_run", "sweep", "draw.regions"} <= many.keys()
    wrong = {name: sorted(arguments(thing) ^ described(thing)) for name, thing in many.items()}
    assert {name: names for name, names in wrong.items() if names} == {}
