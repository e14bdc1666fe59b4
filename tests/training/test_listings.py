"""Every row of `folder_layouts`: order and identity right, or refused with the files named; as a script, the numbers."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import hostile_audit
import numpy as np
import pytest
import torch
from folder_layouts import LAYOUTS, Layout
from small_runs import network, samples
from stranger_layouts import MORE

from splineviz.errors import SplinevizError
from splineviz.training.listings import listing
from splineviz.training.runs import open_run
from splineviz.training.samples import Data

ROWS = [*LAYOUTS, *MORE]
DATA = Data.of(samples(0), domain=(0, 1))
MODEL = network()


def outcome(row: Layout, folder: Path) -> str:
    """ "" for what the row says, else what came instead."""
    row.write(folder)
    try:
        run = open_run(folder, model=MODEL, data=DATA, **row.options)
        programs = [run.program(c) for c in run.checkpoints]
    except SplinevizError as error:
        if not row.refused:
            return f"refused: {error}"
        return "".join(f"no {word!r} in: {error}" for word in row.refused if word not in str(error))
    got = [(c.step, seed_of(p.weights)) for c, p in zip(run.checkpoints, programs, strict=True)]
    if row.refused:
        return f"taken: {got}"
    return "" if (got, run.unit) == (list(row.right), row.unit) else f"got {got} by {run.unit}s: {dict(run.skipped)}"


SEEDS = {seed: network(seed).state_dict()["1.weight"].double() for seed in range(60)}


def seed_of(weights: dict[str, torch.Tensor]) -> int:
    return next((seed for seed, own in SEEDS.items() if torch.equal(own, weights["1.weight"])), -1)


def test_there_are_rows_enough_and_none_twice() -> None:
    assert len(ROWS) >= 400 and len({row.who for row in ROWS}) == len(ROWS)
    assert np.mean([not row.refused for row in ROWS]) > 0.75


@pytest.mark.filterwarnings("ignore:splineviz.*left out:RuntimeWarning")
@pytest.mark.parametrize("row", ROWS, ids=[re.sub(r"\W+", "-", row.who) for row in ROWS])
def test_order_and_identity_are_right_or_the_files_are_named(row: Layout, tmp_path: Path) -> None:
    assert outcome(row, tmp_path) == ""


def test_links_out_of_a_folder_are_named_and_not_followed_unasked(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "theirs", tmp_path / "elsewhere"
    folder.mkdir(), elsewhere.mkdir()
    for step in (10, 20):
        torch.save(network().state_dict(), folder / f"step_{step}.pt")
    torch.save(network(7).state_dict(), elsewhere / "secret.pt")
    (folder / "step_30.pt").symlink_to(elsewhere / "secret.pt")
    found = listing(folder)
    assert [c.step for c in found.checkpoints] == [10, 20]
    assert "a link that leads out of the folder; --files 'step_30.pt' follows it" in found.skipped["step_30.pt"]
    assert [c.step for c in listing(folder, "step_*.pt").checkpoints] == [10, 20, 30]
    linked = tmp_path / "link"
    linked.symlink_to(folder)  # the folder itself may be one: the user named it
    assert [c.step for c in listing(linked).checkpoints] == [10, 20]


def test_a_refusal_looks_at_no_link_out_of_the_folder(tmp_path: Path) -> None:
    """Where else checkpoints may lie is looked for below; what a link there led to was opened."""
    (tmp_path / "folder" / "below").mkdir(parents=True)
    torch.save(network().state_dict(), tmp_path / "step_3.pt")
    (tmp_path / "folder" / "below" / "step_3").symlink_to(tmp_path / "step_3.pt")
    with hostile_audit.inside(tmp_path / "folder") as opened, pytest.raises(SplinevizError, match="expected files"):
        listing(tmp_path / "folder")
    assert not opened


def test_a_cache_of_the_hub_is_read_through_its_own_links(tmp_path: Path) -> None:
    cache = tmp_path / "models--a--b"
    snapshot = cache / "snapshots" / "0f3"
    snapshot.mkdir(parents=True), (cache / "blobs").mkdir()
    for step in (1, 2):
        torch.save(network(step).state_dict(), cache / "blobs" / f"{step:064x}")
        (snapshot / f"step_{step}.pt").symlink_to(Path("..") / ".." / "blobs" / f"{step:064x}")
    assert [c.step for c in listing(snapshot).checkpoints] == [1, 2]


def folder_of_two(folder: Path) -> Path:
    folder.mkdir()
    for step in (10, 20):
        torch.save(network().state_dict(), folder / f"step_{step}.pt")
    return folder


def test_links_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    folder = folder_of_two(tmp_path / "theirs")
    (folder / "again").symlink_to(folder)
    (folder / "step_30.pt").symlink_to(folder / "step_40.pt")
    (folder / "step_40.pt").symlink_to(folder / "step_30.pt")
    (folder / "step_50.pt").symlink_to(folder / "nowhere.pt")
    found = listing(folder)
    assert [c.step for c in found.checkpoints] == [10, 20]
    with pytest.raises(SplinevizError, match="expected .* got"):
        listing(tmp_path / "theirs" / "step_30.pt")


def test_a_pipe_and_a_folder_named_as_checkpoints_are_not_waited_for(tmp_path: Path) -> None:
    folder = folder_of_two(tmp_path / "theirs")
    os.mkfifo(folder / "step_30.pt")
    (folder / "step_40.pt").mkdir()
    assert [c.step for c in listing(folder).checkpoints] == [10, 20]


PATTERNS = ("", "[", "*[", "/etc/*", "../*", "../theirs/*.pt", "**", "***", "a\0b", "~/*", "\n", "*" * 5000)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_finds_files_of_the_folder_or_is_refused(tmp_path: Path, pattern: str) -> None:
    folder = folder_of_two(tmp_path / "theirs")
    torch.save(network(3).state_dict(), tmp_path / "step_99.pt")
    try:
        found = listing(folder, pattern)
    except SplinevizError as error:
        assert "expected" in str(error) and "got" in str(error)
    else:
        assert found.checkpoints and all(c.path.parent.samefile(folder) for c in found.checkpoints)


if __name__ == "__main__":
    wrong = []
    for row in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            said = outcome(row, Path(folder))
        wrong += [f"{row.who}: {said}"] if said else []
    refused = sum(bool(row.refused) for row in ROWS)
    print(f"{len(ROWS)} folders: {len(ROWS) - refused - len(wrong)} right, {refused} refused, {len(wrong)} wrong")
    print("\n".join(wrong))
