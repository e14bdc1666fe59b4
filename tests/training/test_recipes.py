"""Recipes: they train, they are repeatable, and they write runs like anybody else's."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from splineviz.errors import CheckpointError, DataError, TraceError
from splineviz.regions.enumerate import partition
from splineviz.training import recipes
from splineviz.training.architectures import mlp, resnet18
from splineviz.training.recorder import schedule
from splineviz.training.runs import open_run


@pytest.fixture(autouse=True)
def one_thread():
    """On a busy machine the threads of a small matrix product wait for each other; one is never much slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_mnist_recipe_is_the_papers(tmp_path):
    state, said = torch.get_rng_state(), []
    path = recipes.train("mnist-mlp", steps=100, out=tmp_path / "run", progress=lambda *call: said.append(call))
    assert torch.equal(torch.get_rng_state(), state)  # the caller's random numbers are left alone
    assert float(torch.full((), 1e-39) * 1.0) != 0.0  # and so are small ones
    run = open_run(path)
    late = {round(10 ** (k / 40)) for k in range(65, 80)}  # four times as many from step 40 on
    assert min(late) > 40 and [c.step for c in run.checkpoints] == sorted({*schedule(100), *late})
    shapes = [list(w) for k, w in run.network["weights"].items() if k.endswith("weight")]
    assert shapes == [[200, 784], [200, 200], [200, 200], [10, 200]]
    assert [layer.units for layer in run.program(run.checkpoints[0]).layers] == [200, 200, 200]
    assert run.train_x.shape == (1000, 28, 28) and run.test_x.shape == (4000, 28, 28)
    first, last = run.checkpoints[0].metrics, run.checkpoints[-1].metrics
    assert first["train_accuracy"] < 0.3
    assert last["train_accuracy"] > 0.98 and last["test_accuracy"] > 0.88
    assert last["train_loss"] < 0.01 < first["train_loss"]
    assert said[-1][:2] == (100, 100) and "train accuracy" in said[-1][2]
    # PyTorch's default initialisation: uniform in +-1/sqrt(fan in)
    weights = run.program(run.checkpoints[0]).weights["1.weight"]
    assert 0.99 / 28 < float(weights.abs().max()) <= 1.0001 / 28


def test_what_was_recorded_is_what_the_checkpoint_computes(tmp_path):
    run = open_run(recipes.train("two-moons", steps=300, out=tmp_path))
    for checkpoint in run.checkpoints[::6]:
        outputs = run.program(checkpoint)(torch.as_tensor(run.test_x).double())
        assert checkpoint.metrics["test_accuracy"] == pytest.approx(
            float((outputs.argmax(1).numpy() == run.test_y).mean()), abs=0.01
        )
        wanted = np.eye(2)[run.test_y]
        assert checkpoint.metrics["test_loss"] == pytest.approx(float(((outputs.numpy() - wanted) ** 2).mean()), rel=1e-3)
    assert run.checkpoints[-1].metrics["train_accuracy"] > 0.95


def test_one_seed_is_one_run(tmp_path):
    weights = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run = open_run(recipes.train("two-moons", steps=20, seed=seed, out=tmp_path / name))
        weights[name] = run.program(run.checkpoints[-1]).weights["1.weight"]
    assert torch.equal(weights["a"], weights["b"])
    assert not torch.equal(weights["a"], weights["c"])


def test_the_spline_learns_its_surface(tmp_path):
    run = open_run(recipes.train("spline", steps=600, out=tmp_path))
    first, last = run.checkpoints[0].metrics, run.checkpoints[-1].metrics
    assert last["test_loss"] < 0.1 * first["test_loss"]
    assert "train_accuracy" not in last


def test_refusals(tmp_path):
    with pytest.raises(DataError, match="expected one of mnist-mlp, mnist-x8, .*, waves, patches-resnet, got 'resnet'"):
        recipes.train("resnet", out=tmp_path)
    with pytest.raises(DataError, match="steps"):
        recipes.train("spline", steps=-1, out=tmp_path)
    recipes.train("spline", steps=0, out=tmp_path)
    with pytest.raises(CheckpointError, match="if_exists"):
        recipes.train("spline", steps=0, out=tmp_path)
    recipes.train("spline", steps=1, out=tmp_path, if_exists="overwrite")
    assert [c.step for c in open_run(tmp_path).checkpoints] == [0, 1]


def test_random_labels_are_as_many_as_asked_for_and_the_rest_stay():
    half = replace(recipes.RECIPES["mnist-mlp"], random_labels=0.5)
    plain, noisy = recipes.load_data("mnist"), recipes.samples_of(half, seed=1)
    changed = (plain.train_y != noisy.train_y).mean()
    assert 0.4 < changed <= 0.5, "a tenth of the new labels are the old ones"
    assert np.array_equal(plain.test_y, noisy.test_y) and np.array_equal(plain.train_x, noisy.train_x)
    with pytest.raises(DataError, match="share of samples with classes"):
        recipes.samples_of(replace(recipes.RECIPES["spline"], random_labels=0.5))


def test_following_is_the_same_training_as_recording(tmp_path):
    run = open_run(recipes.train("two-moons", steps=30, out=tmp_path))
    seen = {}
    recipes.follow("two-moons", lambda step, net, found: seen.update({step: (net.training, found)}), steps=30)
    assert {c.step: dict(c.metrics) for c in run.checkpoints} == {step: found for step, (_, found) in seen.items()}
    assert not any(training for training, _ in seen.values())


def test_batch_norm_is_recorded_as_it_stands_at_each_step(tmp_path):
    small = replace(
        recipes.RECIPES["two-moons"], network=partial(mlp, (2, 6, 2), batch_norm=True), loss="cross entropy", rate=0.1
    )
    run = open_run(recipes.train(small, steps=40, out=tmp_path))
    assert run.loss == "cross entropy"
    x, y = torch.as_tensor(run.train_x).double(), torch.as_tensor(run.train_y)
    for checkpoint in run.checkpoints[::5]:
        outputs = run.program(checkpoint)(x)
        assert checkpoint.metrics["train_loss"] == pytest.approx(
            float(torch.nn.functional.cross_entropy(outputs, y)), rel=1e-3
        )


def test_a_smooth_network_can_be_followed_and_recorded_but_not_cut(tmp_path):
    smooth = replace(recipes.RECIPES["two-moons"], network=partial(mlp, (2, 6, 2), activation="gelu"))
    run = open_run(recipes.train(smooth, steps=1, out=tmp_path))
    with pytest.raises(TraceError, match="gelu is smooth"):
        partition(run.program(run.checkpoints[0]), run.plane((0, 1, 2)))
    losses = []
    recipes.follow(smooth, lambda step, net, found: losses.append(found["train_loss"]), steps=50)
    assert losses[-1] < losses[0]


def test_a_recipe_on_pictures_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.uniform(size=(6, 3, 8, 8)).astype(np.float32), y=np.arange(6) % 3)
    recipe = recipes.resnet18_on(str(tmp_path / "d.npz"))
    assert (recipe.batch, recipe.weight_decay, recipe.loss, recipe.steps) == (256, 0.0, "cross entropy", 500_000)
    run = open_run(recipes.train(replace(recipe, network=partial(resnet18, (3, 8, 8), 3, channels=2)), steps=1,
                                 out=tmp_path / "run"))  # fmt: skip
    assert run.train_x.shape == (6, 3, 8, 8) and np.isfinite(run.checkpoints[-1].metrics["train_loss"])
    np.savez(tmp_path / "g.npz", x=rng.uniform(size=(6, 8, 8)), y=np.arange(6) % 3)
    with pytest.raises(DataError, match="expected colour pictures"):
        recipes.resnet18_on(str(tmp_path / "g.npz"))


def test_attacks_are_recorded_at_the_radii_that_the_recipe_names(tmp_path):
    asked = []

    def attack(network, x, y, **how):
        asked.append((len(x), how["steps"], how["domain"], network.training, next(network.parameters()).requires_grad))
        return {eps: 1.0 - eps for eps in how["eps"]}

    path = recipes.train("mnist-mlp", steps=2, out=tmp_path / "run", attack=attack)
    assert {(400, 10, (0.0, 1.0), False, False)} == set(asked) and len(asked) == 3
    for checkpoint in open_run(path).checkpoints:
        assert {n: v for n, v in checkpoint.metrics.items() if n.startswith("robust")} == {
            "robust_0.03": 0.97, "robust_0.06": 0.94, "robust_0.1": 0.9,
        }  # fmt: skip
    plain = open_run(recipes.train("mnist-mlp", steps=2, out=tmp_path / "plain"))
    assert not [name for name in plain.checkpoints[0].metrics if name.startswith("robust")]


@pytest.mark.parametrize(("network", "threads"), [("two-moons", 1), ("mnist-conv", 2)])
def test_fully_connected_recipes_train_in_one_thread_and_others_in_all(network, threads):
    """Two threads wait for each other at products of a millisecond; the caller's number of threads comes back."""
    torch.set_num_threads(2)
    seen = []
    recipes.follow(network, lambda *_: seen.append(torch.get_num_threads()), steps=0)
    assert seen == [threads] and torch.get_num_threads() == 2
