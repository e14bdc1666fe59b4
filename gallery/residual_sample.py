# %% [markdown]
# # A residual network near a sample
#
# Two residual blocks. A sample sits in one region, a polygon of this plane; the picture shows the regions around it,
# from the whole neighbourhood down to the one that holds the sample.

# %%
import os

import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import nn

import splineviz as sv

quick = os.environ.get("SPLINEVIZ_QUICK") == "1"


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.inner(x))


# %% Train on digits
data = sv.recipes.load_data("digits")
x, y = torch.as_tensor(np.asarray(data.train_x)).double().reshape(-1, 64), torch.as_tensor(data.train_y)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), Block(64), Block(64), nn.Linear(64, 10)).double()
optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
for _ in range(10 if quick else 200):
    optimiser.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimiser.step()

# %% Nearer and nearer to the first anchor, in one scale of colours
plane = sv.Plane.through(*x[:3])
sample = plane.anchors_uv[0]
halves = (1.5, 0.3, 0.06)
square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
parts = [sv.partition(model, plane, window=sample + half * square) for half in halves]
limits = sv.draw.shared_limits(parts, fill="slope")
figure, axes = plt.subplots(1, 3, figsize=(12, 4.3), layout="constrained")
for ax, half, part in zip(axes, halves, parts, strict=True):
    sv.draw.regions(part, ax=ax, fill="slope", limits=limits, line_width=0.6)
    sv.draw.boundary(part, ax=ax)
    ax.plot(*sample, "*", color="white", markeredgecolor="black", markersize=15)
    ax.set(xticks=[], yticks=[])
    ax.set_title(f"{2 * half:g} wide: {part.num_regions:,} regions")
for ax, half in zip(axes, halves[1:], strict=False):  # where the next picture is
    ax.plot(*(sample + half * square[[0, 1, 2, 3, 0]]).T, color="white", linewidth=1.5)
digit = axes[0].inset_axes((0.03, 0.72, 0.25, 0.25))
digit.imshow(x[0].reshape(8, 8).numpy(), cmap="gray")
digit.set(xticks=[], yticks=[])
figure.savefig("residual_sample.png", dpi=100)
