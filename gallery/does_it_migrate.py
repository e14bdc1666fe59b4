# %% [markdown]
# # Does it migrate?
#
# Knots are said to move to the decision boundary late in training. Does that happen in your run? Three numbers answer, each
# with its standard error over several planes: the density of knots near the boundary, how far knots are from it, and
# how much of the change comes from units that stay, so from knots that moved.
#
# Run as a script, or cell by cell. SPLINEVIZ_RUN names a run of your own; SPLINEVIZ_QUICK=1 trains for a few steps only.

# %%
import os
from pathlib import Path

import splineviz as sv
from splineviz.workflows import migrations, study

quick = os.environ.get("SPLINEVIZ_QUICK") == "1"
folder = Path("does_it_migrate")
source = Path(os.environ.get("SPLINEVIZ_RUN", folder / "ckpts"))

# %% A run to ask
if not source.exists():
    sv.recipes.train("mnist-mlp", steps=4 if quick else 25_000, out=source)
run = sv.open_run(source)
if quick:
    run = run.only([run.checkpoints[0].step, run.checkpoints[-1].step])

# %% Measure it: exact profiles over distance, and the ledger of units, on every plane
lc = sv.LCOptions(radius=0.05, points=20 if quick else 1000)
measured = study.measure(run, out=folder, lc=lc, planes=2 if quick else 6)
for name in ("kymograph", "lineage"):
    study.write(measured, name, folder / name)
(folder / "kymograph.png").replace(folder / "does_it_migrate.png")

# %% The answer
found = migrations.answer(measured)
(first, last), near = found["steps"], found["near"]
print(f"steps {first:,} to {last:,}, {found['planes']} planes, near: within {near:.0%} of the window's side")
print(f"the boundary is in view at both steps on {found['compared']} of the planes")
for said, name in (("knots per area near the boundary", "density"), ("median distance of knots over area's", "distance")):
    before, after, (change, error) = found[name]
    print(f"{said}: {before[0]:.2f} -> {after[0]:.2f}, change {change:+.2f} +- {error:.2f}")
parts = ", ".join(f"{name} {found[name][0]:+.1f} +- {found[name][1]:.1f}" for name in ("moved", "vanished", "appeared"))
print(f"length near the boundary, in window sides: {parts}")
