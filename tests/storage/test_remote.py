"""Stores: results are kept at a URL as they are made, and brought from there to a machine that has none of them."""

from __future__ import annotations

import shutil
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from small_runs import write_run
from small_sweeps import QUICK

from splineviz.__main__ import main
from splineviz.errors import JobError
from splineviz.jobs import job as jobs
from splineviz.jobs.sweep import Sweep, sweep
from splineviz.storage import files
from splineviz.storage.remote import Store
from splineviz.training.runs import Run, open_run

fsspec = pytest.importorskip("fsspec", reason="the extra `cluster` is not installed")
JOBS = 6


@pytest.fixture
def run(tmp_path: Path) -> Run:
    write_run(tmp_path / "run")
    return open_run(tmp_path / "run")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Jobs that were really done."""
    done: list[str] = []
    original = jobs.work
    monkeypatch.setattr(jobs, "work", lambda job: (done.append(job.name), original(job))[1])
    return done


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"memory://{uuid.uuid4().hex}/sweep" if request.param == "memory" else f"file://{tmp_path / 'store'}"


def swept(run: Run, out: Path, url: str | None, **options: Any) -> Sweep:
    return sweep([run], planes=[(0, 1, 2), (3, 4, 5)], out=out, lc=QUICK, store=url, **options)


def stored(url: str) -> dict[str, bytes]:
    fs, root = fsspec.core.url_to_fs(url)
    return {path.removeprefix(f"{root}/"): fs.cat_file(path) for path in fs.find(root)}


def on_disk(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_everything_is_kept_and_another_machine_goes_on_from_it(
    run: Run, tmp_path: Path, url: str, counted: list[str]
) -> None:
    first = swept(run, tmp_path / "one", url)
    assert len(counted) == JOBS and stored(url) == on_disk(tmp_path / "one")
    second = swept(run, tmp_path / "two", url)
    assert len(counted) == JOBS, "brought, not made again"
    assert second.table.read_bytes() == first.table.read_bytes()
    assert on_disk(tmp_path / "two") == on_disk(tmp_path / "one")
    plain = swept(run, tmp_path / "three", None)
    assert plain.table.read_bytes() == first.table.read_bytes()


def test_what_was_made_before_the_end_is_there(run: Run, tmp_path: Path, url: str, counted: list[str]) -> None:
    def stop(done: int, total: int, text: str) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swept(run, tmp_path / "one", url, progress=stop)
    names = stored(url)
    assert sum(name.startswith("rows/") for name in names) == sum(name.startswith("partitions/") for name in names) == 4
    made, begun = {Path(name).stem for name in names if name.startswith("rows/")}, set(counted)
    shutil.rmtree(tmp_path / "one")
    counted.clear()
    swept(run, tmp_path / "one", url)
    assert made <= begun and not made & set(counted), "none that was done once more, although the disk was lost"
    assert len(counted) == JOBS - 4 and made | set(counted) >= begun, "the one that had begun among them"


def test_a_file_that_is_torn_or_gone_in_the_store_is_made_again_and_mended(
    run: Run, tmp_path: Path, url: str, counted: list[str]
) -> None:
    swept(run, tmp_path / "one", url)
    good = stored(url)
    fs, root = fsspec.core.url_to_fs(url)
    torn, gone, odd = sorted(name for name in good if name.startswith("rows/"))[:3]
    fs.pipe_file(f"{root}/{torn.replace('rows', 'partitions').replace('.json', '.npz')}", b"PK")
    fs.rm_file(f"{root}/{gone}")
    fs.pipe_file(f"{root}/{odd}", b"[" * 50_000)
    counted.clear()
    swept(run, tmp_path / "two", url)
    assert sorted(counted) == [Path(name).stem for name in (torn, gone, odd)]
    assert stored(url) == on_disk(tmp_path / "two")
    assert (tmp_path / "two" / "sweep.csv").read_bytes() == good["sweep.csv"]


def test_a_row_is_put_after_its_partition_and_the_manifest_last(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[str] = []
    original = Store.put
    monkeypatch.setattr(Store, "put", lambda self, name: (put.append(name), original(self, name))[1])
    url = f"memory://{uuid.uuid4().hex}"
    swept(run, tmp_path / "out", url)
    for at, name in enumerate(put):
        if name.startswith("rows/"):
            assert put[at - 1] == name.replace("rows", "partitions").replace(".json", ".npz")
    assert put[0] == "jobs.json" and put[-1] == "manifest.json"
    assert len(put) - 1 == len(set(put)), "each once, but the list of jobs, whose digest the manifest tells in the end"
    put.clear()
    swept(run, tmp_path / "out", url)
    assert put == ["jobs.json", "manifest.json"]


def test_rows_alone(run: Run, tmp_path: Path, counted: list[str]) -> None:
    url = f"memory://{uuid.uuid4().hex}"
    swept(run, tmp_path / "one", url, partitions=False)
    swept(run, tmp_path / "two", url, partitions=False)
    assert len(counted) == JOBS and not list((tmp_path / "two").glob("partitions/*"))


def test_a_network_that_fails_stops_no_job_and_what_is_missing_is_put_later(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    url, original = f"memory://{uuid.uuid4().hex}", Store.put

    def put(self: Store, name: str) -> None:
        if counted:  # not while the work has not begun
            raise JobError("store: no network")
        original(self, name)

    with monkeypatch.context() as broken:
        broken.setattr(Store, "put", put)
        with pytest.raises(JobError, match="no network"):
            swept(run, tmp_path / "out", url)
    assert len(counted) == JOBS and list(stored(url)) == ["jobs.json"]
    swept(run, tmp_path / "out", url)
    assert len(counted) == JOBS and stored(url) == on_disk(tmp_path / "out")


def test_a_store_that_does_not_answer_is_named_before_any_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    with pytest.raises(JobError, match="store: expected nosuch://there to be opened, got ValueError: Protocol not known"):
        swept(run, tmp_path / "out", "nosuch://there")
    with pytest.raises(JobError, match=r"expected a URL without \*, \? and \[, got memory://there/\[1\]"):
        swept(run, tmp_path / "out", "memory://there/[1]")
    with pytest.raises(JobError, match="to be written, got FileNotFoundError: .*; the results are in"):
        swept(run, tmp_path / "out", f"file://{tmp_path}/no/such/folder")
    with monkeypatch.context() as broken:
        broken.setattr(MemoryFileSystem, "cat_file", lambda *words, **options: (_ for _ in ()).throw(PermissionError("no")))
        with pytest.raises(JobError, match="to be read, got PermissionError: no"):
            swept(run, tmp_path / "out", "memory://there")
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(JobError, match="expected the package fsspec, got none"):
        swept(run, tmp_path / "out", "memory://there")
    assert counted == []


def test_the_command_keeps_too(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", str(run.path), "--lc-points", "5", "--lc-vectors", "2", "--store", f"file://{tmp_path / 'kept'}"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert files.read_sealed(tmp_path / "kept" / "manifest.json") == files.read_sealed(tmp_path / "out" / "manifest.json")
    assert main(["verify", str(tmp_path / "kept")]) == 0
    assert "3 partitions proved" in capsys.readouterr().out
