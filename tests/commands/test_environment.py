"""Surroundings: what is there is reported as it is, what is missing with its remedy, and nothing raises."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from splineviz.__main__ import main
from splineviz.commands import environment
from splineviz.commands.environment import Finding, examine


def test_these_surroundings_are_enough() -> None:
    findings = {finding.topic: finding for finding in examine()}
    assert all(finding.fine for finding in findings.values()), findings
    assert findings["numpy"].found == np.__version__
    assert "mp4" in findings["films"].found and "proved" in findings["a slice"].found
    assert len(findings) >= 15


def test_memory_is_what_programs_can_have() -> None:
    psutil = pytest.importorskip("psutil")
    found = {finding.topic: finding for finding in examine()}["system"].found
    available, total = map(float, re.search(r"([\d.]+) of ([\d.]+) GB memory available", found).groups())  # type: ignore[union-attr]
    assert total == pytest.approx(psutil.virtual_memory().total / 1e9, abs=0.1)
    assert available == pytest.approx(psutil.virtual_memory().available / 1e9, abs=0.1 * total)


def test_what_is_missing_or_old_is_said_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"numpy": "1.25.9", "torch": "2.6.0"}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(
        metadata, "requires", lambda name: ["numpy>=1.26", "torch>=2.6", "av>=13", 'shapely>=2.0; extra == "export"']
    )
    found = {finding.topic: finding for finding in [*environment._required(), *environment._extras()]}
    assert found["torch"] == Finding("torch", "2.6.0")
    assert found["numpy"] == Finding("numpy", "1.25.9, older than 1.26; pip install 'numpy>=1.26'", False)
    assert found["av"] == Finding("av", "missing; pip install 'av>=13'", False)
    assert found["extra export"].fine and "pip install 'splineviz[export]'" in found["extra export"].found


def test_a_cache_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "under"))
    assert not environment._cache().fine
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "fresh"))
    assert environment._cache().fine


def test_the_command_says_all_and_refuses_what_will_not_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "examine", lambda: iter([Finding("torch", "2.13.0")]))
    assert main(["doctor"]) == 0
    assert "2.13.0" in capsys.readouterr().out
    monkeypatch.setattr(environment, "examine", lambda: iter([Finding("films", "none", False), Finding("torch", "2.13.0")]))
    assert main(["doctor"]) == 2
    captured = capsys.readouterr()
    assert "none" in captured.out and "check failed for films" in captured.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_completion_names_commands_and_flags(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab")
    assert main(["complete", shell]) == 0
    script = capsys.readouterr().out
    assert "animate" in script and "anchors" in script and "doctor" in script


def test_bash_takes_the_script_and_completes_with_it(tmp_path) -> None:
    pytest.importorskip("shtab")
    script = tmp_path / "splineviz"
    with script.open("w") as stream:
        subprocess.run([sys.executable, "-m", "splineviz", "complete", "bash"], check=True, stdout=stream, timeout=60)
    ask = (
        f"source {script}; COMP_WORDS=(splineviz tra); COMP_CWORD=1; "
        "$(complete -p splineviz | sed 's/.*-F \\([^ ]*\\).*/\\1/'); echo \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", ask], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["train"]


def test_without_shtab_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["complete", "bash"]) == 2
    assert "pip install 'splineviz[completion]'" in capsys.readouterr().err


def test_the_demo_needs_few_packages() -> None:
    """What `make demo` installs, followed through what the installed packages require: 36 were promised."""
    from packaging.requirements import Requirement

    root = Path(__file__).parents[2]
    said = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    assert "call SETUP,the demo,. scikit-learn)" in (root / "Makefile").read_text()
    found, left = {"pip", "splineviz", "mlxtend"}, [Requirement(one).name for one in [*said, "scikit-learn"]]
    while left:
        name = left.pop().lower().replace("_", "-")
        if name in found or name.startswith(("nvidia", "cuda", "triton")):  # of torch for a GPU
            continue
        found.add(name)
        for one in map(Requirement, metadata.requires(name) or []):
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                left.append(one.name)
    assert len(found) <= 36, sorted(found)
    assert not found & {"pandas", "rich", "onnx", "jupyterlab"}
