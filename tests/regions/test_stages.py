"""Stages: what is handed to torch, and in which batches."""

import numpy as np
import pytest
from networks import relu_network

from splineviz.geometry.budget import Budget
from splineviz.geometry.plane import Plane
from splineviz.regions.enumerate import Slice
from splineviz.tracing.program import Program
from splineviz.tracing.trace import trace


@pytest.mark.parametrize("block_bytes", [1 << 12, 8 << 20], ids=["small blocks", "one block"])
def test_every_batch_of_vertices_is_filled_up_to_groups_of_sixteen(monkeypatch, block_bytes):
    program = trace(relu_network(1, 2, 40, 40, 2), (2,))
    sizes, run = [], Program.run

    def watched(self, live, start, stop, **options):
        if start:  # the first stage is evaluated at three points
            sizes.append(len(next(iter(live.values()))))
        return run(self, live, start, stop, **options)

    plane = Plane(np.zeros(2), np.eye(2))
    job = Slice(program, plane, plane.window(2.0))
    for stage in job.engine.stages:  # these look at a single row
        assert stage.width and stage.shapes
    monkeypatch.setattr(Program, "run", watched)
    found = job.enumerate(job.whole, 1, block_bytes, Budget(), None)
    assert len(found.face_hash) > 200
    assert sizes and not any(size % 16 for size in sizes)
