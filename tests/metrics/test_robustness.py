"""The attack against closed forms on linear networks, a plain reference, and its own promises."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from splineviz.errors import DataError
from splineviz.metrics.robustness import ALPHA, EPS, classes, pgd, robust_accuracy, usual_steps
from splineviz.tracing.trace import trace


def network(inputs: int = 6, outputs: int = 3, seed: int = 1) -> nn.Sequential:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, outputs)).double()
    balance(model, model[4], samples(500, inputs))
    return model


@torch.no_grad()
def balance(model: nn.Module, last: nn.Module, x: torch.Tensor) -> None:
    """Take the mean from the outputs, so that all classes occur."""
    last.bias -= model(x).mean(dim=0)


def samples(n: int = 40, inputs: int = 6) -> torch.Tensor:
    return torch.rand(n, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def reference(model, x, y, eps, alpha, steps):
    """One sample, one coordinate at a time, from x itself, with the gradient by central differences."""

    def loss(p):
        with torch.no_grad():
            return float(-torch.log_softmax(model(p[None])[0], 0)[y])

    at = x.clone()
    for _ in range(steps):
        slope = torch.zeros_like(at)
        for i in range(len(at)):
            e = torch.zeros_like(at)
            e[i] = 1e-6
            slope[i] = loss(at + e) - loss(at - e)
        for i in range(len(at)):
            at[i] = min(max(at[i] + alpha * np.sign(float(slope[i])), x[i] - eps, 0.0), x[i] + eps, 1.0)
    return at


def test_the_attack_is_the_plain_one() -> None:
    model, x = network(), samples(8)
    y = classes(model(x))
    found = pgd(model, x, y, eps=0.1, alpha=0.03, steps=5, seed=None)
    for i in range(len(x)):
        torch.testing.assert_close(found[i], reference(model, x[i], int(y[i]), 0.1, 0.03, 5), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("eps", "steps"), [(0.03, 10), (0.1, 10), (0.2, 10), (0.06, 100)])
def test_the_attack_is_that_of_foolbox(eps: float, steps: int) -> None:
    """A well-kept library takes the same steps; it is slower and wants the module, so it stays with the tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports from places that scipy has left
        foolbox = pytest.importorskip("foolbox")
    model, x = network(), samples()
    y = classes(model(x))
    attack = foolbox.attacks.LinfProjectedGradientDescentAttack(abs_stepsize=ALPHA, steps=steps, random_start=False)
    _, expected, fooled = attack(foolbox.PyTorchModel(model.eval(), bounds=(0, 1), device="cpu"), x, y, epsilons=eps)
    found = pgd(model, x, y, eps=eps, steps=steps, seed=None)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert ((classes(model(found)) != y) == fooled).all()


def test_the_settings_are_the_papers() -> None:
    assert EPS == (0.03, 0.06, 0.10, 0.13, 0.16, 0.20) and ALPHA == 0.0156


def test_a_linear_network_falls_exactly_at_its_margin() -> None:
    """w x + b over two classes keeps a sample while eps < |difference| / ||w||_1."""
    torch.manual_seed(0)
    model = nn.Linear(5, 2).double()
    x = 0.3 + 0.4 * samples(200, 5)
    balance(model, model, x)
    gap = model(x)[:, 0] - model(x)[:, 1]
    margin = gap.abs() / (model.weight[0] - model.weight[1]).abs().sum()
    y = classes(model(x))
    eps = (0.005, 0.02, 0.05)
    found = robust_accuracy(model, x, y, eps=eps, alpha=0.05, steps=20)
    assert found[0.0] == 1.0
    for radius in eps:
        assert found[radius] == pytest.approx(float((margin > radius).double().mean()), abs=1e-12)
    assert 0 < found[0.05] < found[0.005] < 1
    single = nn.Linear(5, 1).double()
    single.weight.data, single.bias.data = (model.weight[1:] - model.weight[:1]).data, (model.bias[1:] - model.bias[:1]).data
    assert robust_accuracy(single, x, y, eps=eps, alpha=0.05, steps=20) == found


def test_samples_stay_in_the_box_and_in_the_domain() -> None:
    model, x = network(), samples()
    y = classes(model(x))
    for seed in (None, 0):
        found = pgd(model, x, y, eps=0.2, steps=10, seed=seed)
        assert (found - x).abs().max() <= 0.2 + 1e-12 and found.min() >= 0 and found.max() <= 1
        assert not found.requires_grad
    torch.testing.assert_close(pgd(model, x, y, eps=0.0, steps=3), x)
    assert not torch.equal(pgd(model, x, y, eps=0.2, steps=0), pgd(model, x, y, eps=0.2, steps=0, seed=1))


def test_accuracy_falls_with_the_radius_and_program_and_module_agree() -> None:
    model, x = network(), samples(300)
    y = classes(model(x))
    y[:30] = (y[:30] + 1) % 3
    found = robust_accuracy(model.train(), x, y, steps=5)
    assert model.training and found[0.0] == pytest.approx(0.9)
    values = list(found.values())
    assert values == sorted(values, reverse=True) and values[-1] < 0.9
    assert robust_accuracy(trace(model.eval(), (6,)), x, y, steps=5) == found
    assert robust_accuracy(model, x, y, steps=5) == found


def test_weights_get_no_gradient() -> None:
    model, x = network(), samples()
    pgd(model, x, classes(model(x)), eps=0.1)
    assert all(p.grad is None for p in model.parameters())


def test_refusals() -> None:
    model, x = network(), samples()
    with pytest.raises(DataError, match="expected eps >= 0"):
        pgd(model, x, torch.zeros(40, dtype=torch.long), eps=-0.1)
    with pytest.raises(DataError, match=r"expected one class for each of 40 samples, got shape \(39,\)"):
        pgd(model, x, torch.zeros(39, dtype=torch.long), eps=0.1)
    with pytest.raises(DataError, match="at least one sample"):
        robust_accuracy(model, x[:0], [])


def test_the_papers_steps() -> None:
    assert [usual_steps(shape) for shape in ((28, 28), (1, 28, 28), (784,), (3, 32, 32), (2,))] == [100, 100, 100, 10, 10]
