# %% [markdown]
# # Double descent of the local complexity
#
# The local complexity at training points falls, rises while the network fits them, and falls again, for good, when
# the knots have moved on to the decision boundary. The exact count on the slice does the same.
#
# SPLINEVIZ_QUICK=1 trains for a few steps only; SPLINEVIZ_RUN names a run that is there already.

# %%
import os
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

import splineviz as sv
from splineviz.drawing.curves import step_axis

quick = os.environ.get("SPLINEVIZ_QUICK") == "1"
folder = Path("double_descent")

# %% Train, or take a run
if "SPLINEVIZ_RUN" in os.environ:
    run = sv.open_run(os.environ["SPLINEVIZ_RUN"])
else:
    steps = 60 if quick else 25_000
    run = sv.open_run(sv.recipes.train("mnist-mlp", steps=steps, out=folder, if_exists="overwrite"))

# %% Local complexity at training, test and random points, at every checkpoint
count = 50 if quick else 500
rng = np.random.default_rng(0)
places = {
    "train": run.train_x[:count],
    "test": run.test_x[:count],
    "random": rng.uniform(*run.domain, (count, *run.train_x.shape[1:])),
}
steps, curves = np.array([float(c.step) for c in run.checkpoints]), {name: [] for name in places}
for checkpoint in run.checkpoints:
    found = sv.complexity.local_complexities(run.program(checkpoint), places, radius=0.05)
    for name, complexity in found.items():
        curves[name].append((complexity.mean, complexity.band))

# %% Curves with their 99% bands, accuracy above
colors = {"train": "#00381c", "test": "#b5490a", "random": "#4f96cf"}
styles = {"train": "-", "test": "--", "random": "-."}
figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, layout="constrained", height_ratios=[1, 2])
for name in ("train", "test"):
    top.plot(steps, [c.metrics[f"{name}_accuracy"] for c in run.checkpoints], color=colors[name], linestyle=styles[name])
for name, color in colors.items():
    mean, band = np.array(curves[name]).T
    bottom.plot(steps, mean, color=color, linestyle=styles[name], label=f"{name} points")
    bottom.fill_between(steps, np.maximum(mean - band, 0), mean + band, color=color, alpha=0.2, linewidth=0)
step_axis(bottom, steps)  # logarithmic, with a place for step 0
top.set(ylabel="accuracy", ylim=(0, 1.03))
bottom.set(ylabel="local complexity (r = 0.05, P = 25)", xlabel="training step", ylim=(0, None))
bottom.legend(frameon=False)
for ax in (top, bottom):
    ax.spines[["top", "right"]].set_visible(False)
figure.savefig("double_descent.png", dpi=110)
