"""The site is true: every Python block runs, every command is carried out, every command and public name has its place.

A page's blocks run one after the other in one empty folder, as a reader types them. Its commands meet a run `ckpts/` of a
small network with checkpoints at the steps that the pages name, what `animate` leaves of it in `out/`, and a bare folder
`foreign/`.
"""

import importlib.util
import re
import shlex
import shutil
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import pytest
import small_runs
import torch
from torch import nn

import splineviz as sv
from splineviz import commands
from splineviz.__main__ import main
from splineviz.errors import SplinevizError
from splineviz.metrics.columns import COLUMNS
from splineviz.training.state_files import save_state

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
NOT_RUN = {
    "train": "it would train for its full length",
    "reproduce": "tests/test_reproductions.py",
    "doctor": "tests/test_surroundings.py",
    "watch": "it does not end",
}
every_page = pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def listed() -> ModuleType:
    spec = importlib.util.spec_from_file_location("listed", DOCS / "listed.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@every_page
def test_every_python_block_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from splineviz.tracing.kinks import KINKS

    monkeypatch.chdir(tmp_path)
    before = dict(KINKS)  # the page on extending adds to them
    names: dict[str, object] = {"__name__": "__main__"}
    try:
        for snippet in blocks(page, "python"):
            exec(compile(snippet, str(page), "exec"), names)
    finally:
        plt.close("all")
        KINKS.clear()
        KINKS.update(before)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ckpts/, out/ and foreign/, as the pages' commands expect them."""
    folder = tmp_path_factory.mktemp("workplace")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    data = sv.recipes.load_data("two-moons")
    recorder = sv.Recorder(folder / "ckpts", model, train=(data.train_x, data.train_y), test=(data.test_x, data.test_y))
    (folder / "foreign").mkdir()
    x, y = torch.as_tensor(data.train_x, dtype=torch.float32), torch.as_tensor(data.train_y)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(30):  # a network that knows nothing is warned of
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    for step in (0, 1000):
        recorder.save(step, train_accuracy=float((model(x).argmax(1) == y).float().mean()))
        save_state(folder / "foreign" / f"step-{step}.pt", model.state_dict())
        small_runs.nudge(model)
    sv.animate(folder / "ckpts", out=folder / "out", size=(320, 180), formats=["gif"])
    return folder


@every_page
def test_every_command_does_what_it_says(
    page: Path, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [shlex.split(line, comments=True) for block in blocks(page, "sh") for line in block.splitlines()]
    lines = [words[1:] for words in lines if words[:1] == ["splineviz"]]
    for words in lines:
        commands.parser().parse_args(words)
    lines = [words for words in lines if words[0] not in NOT_RUN]
    if not lines:
        return
    shutil.copytree(workplace, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    for words in lines:
        small = ["--size", "320x180"] if words[0] == "animate" and "--size" not in words else []
        assert main([*words, *small]) == 0, f"splineviz {shlex.join(words)}: {capsys.readouterr().err}"
    plt.close("all")


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    generated = {"_generated/commands.md", "_generated/api.md"}
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http") and target not in generated:
            assert (page.parent / target).exists(), target


def test_every_column_is_on_the_page_of_measures() -> None:
    page = (DOCS / "measures.md").read_text()
    missing = [name for name in COLUMNS if f"`{name}`" not in page]
    assert missing == []


def test_every_command_is_on_its_page_with_its_help() -> None:
    page = listed().commands_page()
    for name in commands.COMMANDS:
        assert f"## splineviz {name}\n" in page
        assert (Path(__file__).parent / "help" / f"{name}.txt").read_text().startswith(f"usage: splineviz {name}")


def test_every_public_name_is_in_the_reference_with_a_docstring() -> None:
    page = listed().api_page()
    for name in sv.__all__:
        value = getattr(sv, name)
        assert re.search(rf"^## .*\bsv\.{name}\b", page, re.MULTILINE), name
        assert (value.__doc__ or "").strip(), name
        home = value.__name__ if isinstance(value, ModuleType) else value.__module__
        assert f".. automodule:: {home}\n" in page, name


def test_every_error_says_whose_it_is() -> None:
    page = listed().api_page()
    assert ".. automodule:: splineviz.errors\n   :members:\n" in page
    errors = [value for value in vars(sv.errors).values() if isinstance(value, type) and issubclass(value, SplinevizError)]
    assert len(errors) >= 8 and all(error.__doc__ for error in errors)
