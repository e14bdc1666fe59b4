"""Matrices as weights stand: to the bit, in a library that rounds every product in another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rounding import perturbed
from torch import nn

from splineviz.regions import entries
from splineviz.tracing.trace import trace

LAYERS = {
    "linear": (nn.Linear(5, 4), (5,)),
    "convolution": (nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), (2, 6, 5)),
    "reflected": (nn.Conv1d(2, 3, 3, padding=2, padding_mode="reflect"), (2, 5)),
    "circular, padded over twice": (nn.Conv1d(1, 2, 7, padding=3, padding_mode="circular", bias=False), (1, 3)),
    "transposed": (nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1), (2, 3, 3)),
    "pooled": (nn.AvgPool2d(2), (1, 4, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_no_rounding_of_a_library_moves_an_entry(name: str) -> None:
    layer, shape = LAYERS[name]
    layer = layer.double()
    program = trace(nn.Sequential(layer, nn.Flatten(), nn.ReLU()), shape)
    step = program.steps[0]
    params = {role: tensor.double() for role, tensor in program.params_of(step).items()}
    n = int(np.prod(shape))

    def dense() -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            rows, columns, values = entries.matrix(step, params, shape)
            offset = entries.constant(step, params, shape)
        whole = np.zeros((len(offset), n))
        np.add.at(whole, (rows, columns), values)
        return whole, offset

    matrix, offset = dense()
    x = torch.randn(8, *shape, dtype=torch.float64)
    with torch.no_grad():
        said = layer(x).reshape(8, -1).numpy()
    np.testing.assert_allclose(x.reshape(8, -1).numpy() @ matrix.T + offset, said, rtol=0, atol=1e-13)
    weights = np.concatenate([p.detach().reshape(-1).numpy() for p in layer.parameters()] or [np.full(1, 0.25)])
    if "circular" not in name and "reflected" not in name:  # there two weights may meet in one entry
        assert np.isin(matrix[matrix != 0.0], weights).all() and np.isin(offset[offset != 0.0], weights).all()
    with perturbed(2):
        other, shifted = dense()
    assert (other == matrix).all() and (shifted == offset).all()


def test_matrices_at_hand_are_those_of_linear_layers_and_the_smallest_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units 64 -> 64 -> 16 -> 9 -> 9 -> 2: 4096 and 1024 entries of convolutions, 144, 81 and 18 of linear layers."""
    network = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(),
        nn.AvgPool2d(2), nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(16, 9), nn.ReLU(), nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 2),
    )  # fmt: skip
    program = trace(network, (1, 8, 8))
    kinks = [layer.step for layer in program.layers]
    assert entries.at_hand(program) == set(kinks)
    monkeypatch.setattr(entries, "OTHERS", 4096 + 1023)
    assert entries.at_hand(program) == set(kinks) - kinks_of(kinks, 0)
    monkeypatch.setattr(entries, "MATRIX_LIMIT", 143)
    assert entries.at_hand(program) == kinks_of(kinks, 3, 4)


def kinks_of(kinks: list[int], *which: int) -> set[int]:
    return {kinks[i] for i in which}


def test_no_matrix_is_at_hand_beside_a_skip_connection() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.a(x).relu()
            return self.c((h + self.b(h)).relu())

    program = trace(Skip(), (3,))
    assert entries.at_hand(program) == {layer.step for layer in program.layers}  # h is read before the next kink alone
    deeper = nn.Sequential(Skip(), nn.ReLU())
    deeper[0].forward = lambda x, m=deeper[0]: m.c(m.b(h := m.a(x).relu()).relu() + h)
    program = trace(deeper, (3,))
    assert entries.at_hand(program) == {program.layers[2].step}
