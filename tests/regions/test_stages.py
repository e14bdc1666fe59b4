"""Stages: what is handed to torch, and in which batches."""

import numpy as np
import pytest
import torch
from networks import relu_network

from splineviz.geometry.plane import Plane
from splineviz.regions.budget import Budget
from splineviz.regions.enumerate import Slice, partition
from splineviz.regions.stages import Stage
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


class Residual(torch.nn.Module):
    """A convolution beside a skip connection, so that all vertices are evaluated in full."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.second = torch.nn.Conv2d(1, 12, 3, padding=1), torch.nn.Conv2d(12, 12, 3, padding=1)
        self.last = torch.nn.Linear(12 * 36, 2)

    def forward(self, x):
        y = torch.relu(self.first(x))
        return self.last((y + torch.relu(self.second(y))).flatten(1))


def rows_of(monkeypatch, **options):
    """The partition of a residual network, and the rows that its stage with a convolution was given."""
    rows, run = [], Stage.run

    def watched(self, live, out, *others):
        if not self.has_columns:
            rows.append(len(out))
        return run(self, live, out, *others)

    monkeypatch.setattr(Stage, "run", watched)
    rng = np.random.default_rng(0)
    plane = Plane.through(*rng.normal(size=(3, 1, 6, 6)))
    return partition(Residual(), plane, window=0.4, **options), sum(rows)


def test_a_vertex_of_a_convolution_is_evaluated_once(monkeypatch):
    found, rows = rows_of(monkeypatch)
    whole, once = rows_of(monkeypatch, block_bytes=1 << 40)
    assert found.num_regions > 800 and rows == once > len(found.vertices)
    torn, more = rows_of(monkeypatch, block_bytes=1 << 18)  # blocks that would stay in the cache
    assert more > 1.1 * once
    for other in (whole, torn):
        assert np.array_equal(np.sort(other.pattern_hash), np.sort(found.pattern_hash))


def test_threads_that_share_the_rows_of_a_stage_change_no_number(monkeypatch):
    one, two = (rows_of(monkeypatch, threads=threads)[0] for threads in (1, 2))
    assert np.array_equal(one.vertices, two.vertices) and np.array_equal(one.outputs, two.outputs)
