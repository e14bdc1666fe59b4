# %% [markdown]
# # Region migration on MNIST
#
# The paper's network, 784-200x3-10 on a thousand digits, on the plane through a nought, a one and a two. Late in
# training the knots leave the samples (stars) and gather at the decision boundary (red).
#
# SPLINEVIZ_QUICK=1 trains for a few steps only; SPLINEVIZ_RUN names a run that is there already.

# %%
import os
from pathlib import Path

import splineviz as sv

quick = os.environ.get("SPLINEVIZ_QUICK") == "1"
folder = Path("mnist_migration")

# %% Train, or take a run
if "SPLINEVIZ_RUN" in os.environ:
    run = sv.open_run(os.environ["SPLINEVIZ_RUN"])
else:
    steps = 60 if quick else 25_000
    run = sv.open_run(sv.recipes.train("mnist-mlp", steps=steps, out=folder, if_exists="overwrite"))

# %% Four moments, evenly apart on the logarithmic axis of steps
last = len(run.checkpoints) - 1
chosen = [run.checkpoints[k] for k in (0, last // 2, 3 * last // 4, last)]
plane = run.plane((0, 1, 2))
partitions = [sv.partition(run.program(checkpoint), plane) for checkpoint in chosen]

# %% Side by side, with one colour scale
titles = [f"step {c.step:,}" for c in chosen]
figure = sv.figure(
    partitions,
    titles=titles,
    across=2,
    width=7.2,
    thumbnails=[run.train_x[k] for k in (0, 1, 2)],
    line_width=0.25,
)
figure.savefig("mnist_migration.png", dpi=60 if quick else 130)
