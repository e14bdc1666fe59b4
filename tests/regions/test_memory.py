"""Memory stays flat: 200 checkpoints, and a long film, take what 20 take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1] / "support"

MEASURE = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from small_runs import network, nudge, samples
from splineviz import animate, open_run
from splineviz.metrics.options import LCOptions
from splineviz.training.recorder import Recorder

folder = Path(sys.argv[1])
model = network(hidden=24)
recorder = Recorder(folder / "run", model, train=samples(0), test=samples(1))
for step in range(200):
    recorder.save(step)
    nudge(model)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

said = {{}}
def noted(done, total, text):
    said[done] = peak()

run = open_run(folder / "run")
animate(run, out=folder / "out", window=4.0, size=(320, 180), formats=("mp4", "gif"),
        lc=LCOptions(points=20, num_vectors=4), progress=noted)
print(json.dumps({{"measured": [said[20], said[200]], "drawn": [said[220], said[400]], "end": peak()}}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak as Linux counts it")
def test_200_checkpoints_take_no_more_memory_than_20(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(here=str(HERE)), str(tmp_path)],
        capture_output=True, text=True, timeout=600, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    # What a run of 20 takes lies between 400 and 600 MB (torch, numba, matplotlib); rows and names of 200 are kilobytes.
    assert found["measured"][1] - found["measured"][0] < 25, found
    assert found["drawn"][1] - found["drawn"][0] < 25, found
    assert found["end"] - found["drawn"][1] < 60, f"the films' ends: {found}"
