# %% [markdown]
# # Zoom to machine precision
#
# Regions do not end where pixels do. The knots of this network crowd round one point on every scale, so each panel, a
# hundredth of the one before and cut afresh, is as rich as the last, down to where neighbouring numbers of double
# precision differ.

# %%
import os

import numpy as np
import torch
from matplotlib import pyplot as plt
from torch import nn

import splineviz as sv

quick = os.environ.get("SPLINEVIZ_QUICK") == "1"
width = 16 if quick else 64
centre = np.array([0.3, 0.2])

# %% Each unit's knot passes the point at a distance of its own, between 1 and 1e-14, evenly on a logarithmic scale
torch.manual_seed(4)
layers: list[nn.Module] = []
value = torch.as_tensor(centre)[None]
with torch.no_grad():
    for a, b in ((2, width), (width, width), (width, width)):
        linear = nn.Linear(a, b).double()
        nn.init.normal_(linear.weight, std=(2 / a) ** 0.5)
        distance = 10.0 ** -(14 * torch.rand(b).double()) * torch.randn(b).double().sign()
        linear.bias.copy_(distance - linear.weight @ value[0])
        layers += [linear, nn.ReLU()]
        value = torch.relu(linear(value))
model = nn.Sequential(*layers, nn.Linear(width, 3).double())

# %% Windows from 2 down to 2e-14 wide
plane = sv.Plane([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
square = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
figure, axes = plt.subplots(2, 4, figsize=(13, 7), layout="constrained")
for ax, power in zip(axes.flat, range(0, 16, 2), strict=True):
    part = sv.partition(model, plane, window=centre + 10.0**-power * square)
    sv.draw.regions(part, ax=ax, fill="hash", line_width=0.4)
    low, high = part.window.min(axis=0), part.window.max(axis=0)
    ax.set(xticks=[], yticks=[], xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    ax.set_title(f"{2 * 10.0**-power:g} wide: {part.num_regions:,} regions")
figure.savefig("zoom.png", dpi=85)
