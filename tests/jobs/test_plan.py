"""Plans: what was asked, how far it is, and who may join."""

from __future__ import annotations

import os

import pytest
import torch
from small_runs import write_run
from small_sweeps import QUICK

from splineviz.errors import JobError
from splineviz.jobs import job as jobs
from splineviz.jobs import plan, sweep
from splineviz.storage import locks
from splineviz.training.runs import open_run


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path / "run")
    return open_run(tmp_path / "run")


def counts(out):
    states = [state.state for state in plan.states(out)]
    return {name: states.count(name) for name in plan.STATES if name in states}


def test_states_of_jobs_and_reasons(run, tmp_path, monkeypatch):
    out, original = tmp_path / "out", jobs.work
    torch.save({"nothing": 1}, run.checkpoints[2].path)

    def work(job):
        if job.step == 1:
            raise MemoryError("no room")
        with locks.claim(out / "running" / "other"):
            return original(job)

    monkeypatch.setattr(jobs, "work", work)
    made = sweep.sweep([run], out=out, lc=QUICK)
    assert counts(out) == {"done": 1, "failed": 2}
    reasons = {state.words.split(",")[0].split()[-1]: state.reason for state in plan.states(out)}
    assert reasons["1"] == "MemoryError: no room" and "expected named tensors" in reasons["10"]
    assert len(made.failures) == 2 and len(made.results) == 1
    row = next((out / "rows").glob("*.json"))
    row.unlink()
    assert counts(out) == {"waiting": 1, "failed": 2}
    with locks.claim(out / "running" / row.stem):
        assert counts(out) == {"running": 1, "failed": 2}
    monkeypatch.setattr(jobs, "work", original)
    sweep.sweep([run], out=out, lc=QUICK)
    assert counts(out) == {"done": 2, "failed": 1}, "what failed is tried again"


def test_two_calls_with_one_list_may_join_and_another_list_may_not(run, tmp_path):
    asked = {"format": plan.FORMAT, "jobs": [1]}
    with plan.joined(tmp_path / "out", asked), plan.joined(tmp_path / "out", asked):
        assert plan.read(tmp_path / "out")["jobs"] == [1]
        with pytest.raises(JobError, match="no other call at work there, got one with a different list of jobs"):
            with plan.joined(tmp_path / "out", asked | {"jobs": [2]}):
                pass
    with plan.joined(tmp_path / "out", asked | {"jobs": [2]}):
        assert plan.read(tmp_path / "out")["jobs"] == [2]
    assert not (tmp_path / "out" / "running").exists()


def test_claims_of_the_dead_go_those_of_the_living_stay(tmp_path):
    out, asked = tmp_path / "out", {"format": plan.FORMAT, "jobs": [{"name": "killed"}]}
    (out / "running").mkdir(parents=True)
    (out / "running" / "killed").write_text("after its row was written, before it could remove this")
    with plan.joined(out, asked):
        assert [path.name for path in (out / "running").iterdir()] == ["plan"]
        with plan.joined(out, asked):  # another process, which leaves first
            (out / "running" / "killed").write_text("under way")
        assert (out / "running" / "killed").exists(), "by which we know that it was under way"
    assert not (out / "running").exists()


def test_what_is_no_claim_on_a_job_stays(tmp_path):
    """A user's own folder `running`, and links: nothing of it goes, whether somebody holds it or not."""
    out, asked = tmp_path / "out", {"format": plan.FORMAT, "jobs": [{"name": "step-1"}, {"name": "step-2"}]}
    (out / "running").mkdir(parents=True)
    (tmp_path / "mine").write_text("outside")
    (out / "running" / "diary.txt").write_text("5 km")
    (out / "running" / "step-1").symlink_to(tmp_path / "mine")
    os.link(tmp_path / "mine", out / "running" / "step-2")
    with plan.joined(out, asked):
        pass
    assert sorted(path.name for path in (out / "running").iterdir()) == ["diary.txt", "step-1", "step-2"]
    assert (tmp_path / "mine").read_text() == "outside"


def test_a_linked_folder_of_claims_is_not_tidied(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "step-1").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "running").symlink_to(tmp_path / "elsewhere")
    plan._tidy(tmp_path / "out", {"jobs": [{"name": "step-1"}]})
    assert (tmp_path / "elsewhere" / "step-1").read_text() == "mine"


def test_what_is_no_directory_of_results_is_named(tmp_path):
    with pytest.raises(JobError, match="`splineviz sweep` or `animate` wrote, got none with jobs.json"):
        plan.states(tmp_path)
    with pytest.raises(JobError, match="got none with jobs.json"):
        plan.states(tmp_path / "nothing")
    (tmp_path / "jobs.json").write_text('{"jobs": []}')
    with pytest.raises(JobError, match="got a damaged one; start the command again"):
        plan.states(tmp_path)
