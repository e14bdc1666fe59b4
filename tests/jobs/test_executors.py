"""Engines: every executor gives the same tables; who dies, who is busy and what is full is dealt with."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
import torch
from small_runs import network, samples, write_run
from small_sweeps import QUICK

from splineviz.errors import CheckpointError, DataError, JobError
from splineviz.jobs import executors, plan, sweep
from splineviz.jobs import job as jobs
from splineviz.jobs.job import Failure, Result
from splineviz.storage import locks
from splineviz.threads import outcome as what_comes_of
from splineviz.training.runs import open_run
from splineviz.training.samples import Data

TWO_PLANES = {"planes": [(0, 1, 2), (3, 4, 5)], "windows": [None, 2.0], "lc": QUICK}


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path / "run")
    return open_run(tmp_path / "run")


def listed(run, out, **options):
    """The jobs of one plane, ready to be run."""
    settings = {"keep": True, "prove": False, "by_step": True} | options
    entries, stored = sweep._entries(run, [(0, 1, 2)], [None], out, QUICK, None, **settings)
    for path, arrays in stored.items():
        sweep._store(path, arrays)
    return [entry.job for entry in entries]


def test_a_number_below_one_is_refused(run, tmp_path):
    with pytest.raises(DataError, match="processes from 1 up, or an executor, got 0"):
        next(executors.run(listed(run, tmp_path), 0))


def test_a_script_that_processes_would_run_again_is_refused_in_one_line(run, tmp_path):
    script = tmp_path / "mine.py"
    call = f"import splineviz as sv\nsv.sweep([{str(run.path)!r}], out={str(tmp_path / 'swept')!r}, lc=None, jobs=2)\n"
    script.write_text(call)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("Traceback") == 1, done.stderr
    assert "expected mine.py to hold its calls under `if __name__ == \"__main__\":`" in done.stderr.splitlines()[-1]


def test_threads_and_this_process_give_one_table(run, tmp_path):
    here = sweep.sweep([run], out=tmp_path / "here", **TWO_PLANES)
    with ThreadPoolExecutor(3) as pool:
        there = sweep.sweep([run], out=tmp_path / "there", jobs=pool, **TWO_PLANES)
    assert here.table.read_bytes() == there.table.read_bytes()
    assert len(here.results) == 3 * 2 * 2


def test_a_job_that_another_process_holds_is_left_to_it_and_done_when_it_has_died(run, tmp_path):
    todo, seen = listed(run, tmp_path), []
    holder = contextlib.ExitStack()
    assert holder.enter_context(locks.claim(todo[0].claim_path))
    assert isinstance(jobs.attempt(todo[0]), jobs.Busy)
    for outcome in executors.run(todo):
        seen.append((outcome.step, locks.held(todo[0].claim_path)))
        if outcome.step == 10:
            threading.Timer(0.2, holder.close).start()
    assert seen == [(1, True), (10, True), (0, False)], "the others meanwhile, it in the end"


def test_a_full_disk_stops_everything_at_once(run, tmp_path, monkeypatch):
    todo, tried = listed(run, tmp_path), []

    def full(job):
        tried.append(job.step)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(jobs, "work", full)
    with pytest.raises(OSError, match="No space left"):
        list(executors.run(todo))
    assert tried == [0]


def test_one_is_enumerated_while_another_is_measured(run, tmp_path, monkeypatch):
    """The first is not measured before the second is enumerated: it would wait for ever if one came after the other."""
    cut, measured, second, cuts = jobs.partition, jobs.network_numbers, threading.Event(), []

    def counted(*words, **options):
        cuts.append(words)
        if len(cuts) == 2:
            second.set()
        return cut(*words, **options)

    def waiting(job, program):
        assert second.wait(60), "the next one has not begun"
        return measured(job, program)

    monkeypatch.setattr(jobs, "partition", counted)
    monkeypatch.setattr(jobs, "network_numbers", waiting)
    together = list(executors.run(listed(run, tmp_path / "together")[:2], threads=2))
    assert [found.step for found in together] == [0, 1]
    monkeypatch.undo()
    apart = list(executors.run(listed(run, tmp_path / "apart")[:2], threads=1))
    for one, other in zip(together, apart, strict=True):
        assert one.row == pytest.approx(other.row, rel=1e-12, nan_ok=True)
    assert not list(tmp_path.glob("*/running/*"))


def test_whoever_stops_does_not_wait_for_what_is_measured_meanwhile(run, tmp_path, monkeypatch):
    began, ended, pending = threading.Event(), threading.Event(), Future()

    def long(job, program):
        began.set()
        try:
            return what_comes_of(pending)
        finally:
            ended.set()

    def stopped(*words, **options):
        if began.wait(0.0 if not stopped.calls else 60):
            raise KeyboardInterrupt
        stopped.calls += 1
        return cut(*words, **options)

    cut, stopped.calls = jobs.partition, 0
    monkeypatch.setattr(jobs, "network_numbers", long)
    monkeypatch.setattr(jobs, "partition", stopped)
    with pytest.raises(KeyboardInterrupt):
        list(executors.run(listed(run, tmp_path), threads=2))
    assert ended.is_set() and not pending.done()
    assert not [*tmp_path.glob("running/*"), *tmp_path.glob("rows/*")]
    monkeypatch.undo()
    assert [found.step for found in executors.run(listed(run, tmp_path), threads=2)] == [0, 1, 10]


def test_whatever_a_job_raises_the_others_go_on(run, tmp_path, monkeypatch):
    original = jobs.work

    class Strange(Exception):
        def __init__(self, one, two):
            super().__init__("strange")

    def work(job):
        if job.step == 1:
            raise Strange(1, 2)
        return original(job)

    monkeypatch.setattr(jobs, "work", work)
    outcomes = {o.name: o for o in executors.run(listed(run, tmp_path))}
    assert [type(o) for o in outcomes.values()] == [Result, Failure, Result]
    failure = outcomes["step-0000000001"]
    assert failure.reason == "Strange: strange" and isinstance(failure.error, RuntimeError), "one that cannot be sent"
    assert (tmp_path / "failures" / "step-0000000001.json").exists()
    monkeypatch.setattr(jobs, "work", original)
    assert all(isinstance(o, Result) for o in executors.run(listed(run, tmp_path)))
    assert not (tmp_path / "failures" / "step-0000000001.json").exists()


class Killer:
    """A checkpoint that ends the process that loads it."""

    def __reduce__(self):
        return eval, ("__import__('os').kill(__import__('os').getpid(), 9)",)


def test_a_job_that_takes_its_process_with_it_fails_alone(tmp_path):
    folder = tmp_path / "foreign"
    folder.mkdir()
    for step in range(4):
        torch.save(network(step).state_dict(), folder / f"net_{step}.pt")
    run = open_run(folder, model=network(), data=Data.of(samples(0), domain=(0, 1)), trust=True)
    todo = listed(run, tmp_path / "out")
    torch.save(Killer(), folder / "net_2.pt")  # after its weights were read once, as when memory runs out
    outcomes = {o.name: o for o in executors.run(todo, 2)}
    assert sorted(outcomes) == [job.name for job in todo]
    failed = [o for o in outcomes.values() if isinstance(o, Failure)]
    assert [f.name for f in failed] == ["step-0000000002"] and "its process died" in failed[0].reason
    assert isinstance(failed[0].error, JobError)


def test_a_process_that_dies_after_its_row_was_written_has_done_its_job(tmp_path, monkeypatch):
    folder = tmp_path / "foreign"
    folder.mkdir()
    for step in range(3):
        torch.save(network(step).state_dict(), folder / f"net_{step}.pt")
    run = open_run(folder, model=network(), data=Data.of(samples(0), domain=(0, 1)), trust=True)
    todo = listed(run, tmp_path / "out")
    assert all(isinstance(o, Result) for o in executors.run(todo[1:2]))
    torch.save(Killer(), folder / "net_1.pt")
    row = todo[1].row_path.read_bytes()
    finished = jobs.Job.finished
    hidden = [todo[1].name]
    # The worker does not see the row, as if it were about to write it: it has it when its process has died.
    todo[1].row_path.unlink()
    monkeypatch.setattr(jobs.Job, "finished", lambda job: (restore(job, hidden, row), finished(job))[1])
    outcomes = {o.name: o for o in executors.run(todo, 2)}
    assert all(isinstance(o, Result) for o in outcomes.values()) and len(outcomes) == 3
    assert not (tmp_path / "out" / "failures").exists()


def restore(job, hidden, row):
    if job.name in hidden:
        job.row_path.write_bytes(row)


def test_the_note_of_a_failure_goes_when_the_job_is_done(run, tmp_path):
    made = sweep.sweep([run], out=tmp_path / "out", **TWO_PLANES)
    (tmp_path / "out" / "failures").mkdir()
    (tmp_path / "out" / "failures" / f"{made.results[0].name}.json").write_text("killed before it could remove this")
    sweep.sweep([run], out=tmp_path / "out", **TWO_PLANES)
    assert not (tmp_path / "out" / "failures").exists()


def test_weights_that_change_under_way_are_refused(run, tmp_path):
    todo = listed(run, tmp_path)
    torch.save(network(9).state_dict(), run.checkpoints[1].path)
    outcomes = list(executors.run(todo))
    assert isinstance(outcomes[1], Failure) and "do not change during the call" in outcomes[1].reason
    assert isinstance(outcomes[1].error, CheckpointError)


# ---- Dask ------------------------------------------------------------------------------------------------

distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")


@pytest.fixture(scope="module")
def cluster():
    import dask

    # Nothing is served to browsers, and nothing listens beyond this machine.
    with dask.config.set({"distributed.comm.timeouts.connect": "60s"}):
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as made:
            yield made


def pages_fetched() -> int:
    """Pages that fifty arrays of a megabyte cost, one after the other; each has 256, if none is used again."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(1 << 17)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is kept by a call of the GNU C library")
@pytest.mark.filterwarnings("ignore")
def test_dask_workers_use_memory_again(cluster):
    with executors.dask(cluster.scheduler_address) as executor:
        executor.submit(pages_fetched).result()
        assert executor.submit(pages_fetched, pure=False).result() < 50 * 256 // 4


@pytest.mark.filterwarnings("ignore")  # of distributed's own, about ports, memory and workers that come and go
def test_two_dask_workers_give_the_same_table_and_killing_one_loses_nothing(run, tmp_path, cluster):
    options = TWO_PLANES | {"windows": [float(w) for w in range(1, 6)]}
    here = sweep.sweep([run], out=tmp_path / "here", **options)
    out = tmp_path / "there"
    killed = []

    def kill_one(done, total, text):
        if done == 4 and not killed:
            with distributed.Client(cluster.scheduler_address) as client:
                victims = sorted(client.run(os.getpid).values())
            os.kill(victims[0], signal.SIGKILL)
            killed.append(victims[0])

    with executors.dask(cluster.scheduler_address) as executor:
        there = sweep.sweep([run], out=out, jobs=executor, threads=1, progress=kill_one, **options)
    assert killed and there.failures == ()
    assert there.table.read_bytes() == here.table.read_bytes()
    assert {state.state for state in plan.states(out)} == {"done"}


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    def silent(address, timeout):
        raise OSError(f"Timed out trying to connect to {address}")

    monkeypatch.setattr(distributed, "Client", silent)
    with pytest.raises(JobError, match="a Dask scheduler at tcp://127.0.0.1:1, got none: Timed out"):
        with executors.dask("tcp://127.0.0.1:1"):
            pass
