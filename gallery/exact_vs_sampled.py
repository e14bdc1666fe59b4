# %% [markdown]
# # Exact and sampled local complexity
#
# The sampled count looks at the corners of a small diamond round a point: a unit counts when its pre-activation has
# both signs there. A unit whose knot passes through the diamond between its corners is missed. On a slice the number
# is known exactly, so the difference can be seen, place by place.

# %%
import os

import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import nn

import splineviz as sv
from splineviz.metrics.diamonds import exact_counts

quick = os.environ.get("SPLINEVIZ_QUICK") == "1"
data = sv.recipes.load_data("two-moons")
x, y = torch.as_tensor(data.train_x).double(), torch.as_tensor(data.train_y)

# %% Train
torch.manual_seed(0)
hidden = [m for a in (2, 64, 64) for m in (nn.Linear(a, 64), nn.ReLU())]
model = nn.Sequential(*hidden, nn.Linear(64, 2)).double()
optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
for _ in range(20 if quick else 600):
    optimiser.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimiser.step()

# %% The same diamonds, counted both ways, on a grid of points
plane, radius, size = sv.Plane([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]), 0.12, 24 if quick else 90
part = sv.partition(model, plane, window=[[-1.8, -1.4], [2.8, -1.4], [2.8, 1.9], [-1.8, 1.9]])
u, v = np.meshgrid(np.linspace(-1.6, 2.6, size), np.linspace(-1.2, 1.7, size))
points = np.stack([u.ravel(), v.ravel()], axis=1)
exact = exact_counts(part, points, radius=radius).sum(axis=0).reshape(size, size)
sampled = sv.local_complexity(model, plane.embed(points), radius=radius, directions=plane.basis).total.reshape(size, size)

# %%
figure, axes = plt.subplots(1, 3, figsize=(13.5, 3.0), layout="constrained")
extent = (-1.6, 2.6, -1.2, 1.7)
for ax, values, title in zip(axes[:2], (exact, sampled), ("exact", "sampled, P = 2"), strict=True):
    image = ax.imshow(values, origin="lower", extent=extent, cmap="magma", vmin=0, vmax=exact.max())
    ax.set_title(f"{title}: {values.mean():.1f} units on average")
figure.colorbar(image, ax=axes[:2], label="units in a diamond", fraction=0.03, pad=0.01)
missed = axes[2].imshow(exact - sampled, origin="lower", extent=extent, cmap="viridis", vmin=0)
axes[2].set_title("missed by the samples")
figure.colorbar(missed, ax=axes[2], label="units", pad=0.02)
for ax in axes:
    sv.draw.boundary(part, ax=ax, color="white", line_width=1, casing=0)
    ax.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])
figure.savefig("exact_vs_sampled.png", dpi=100)
