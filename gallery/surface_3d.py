# %% [markdown]
# # The graph in three dimensions
#
# A network from the plane to the line is a folded sheet: a flat tile for each region. Exact, every tile where it is.

# %%
import os

import torch
from matplotlib import pyplot as plt
from torch import nn

import splineviz as sv

quick = os.environ.get("SPLINEVIZ_QUICK") == "1"
data = sv.recipes.load_data("spline")
x, y = torch.as_tensor(data.train_x).double(), torch.as_tensor(data.train_y).double()

# %% Train
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 1)).double()
optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
for _ in range(20 if quick else 1500):
    optimiser.zero_grad()
    nn.functional.mse_loss(model(x).flatten(), y.flatten()).backward()
    optimiser.step()

# %% The sheet, and its regions on the floor
plane = sv.Plane([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
part = sv.partition(model, plane, window=1.0)
figure = plt.figure(figsize=(9, 5.7))
ax = figure.add_axes((-0.1, -0.1, 1.2, 1.25), projection="3d")
sv.surface(part, ax=ax, fill="slope")
ax.view_init(elev=27, azim=-58)
ax.set_box_aspect((1, 1, 0.6), zoom=0.98)
ax.set_axis_off()
title = f"2-24-24-1: {part.num_regions:,} regions, a tile each"
figure.text(0.5, 0.94, title, ha="center", fontsize=12)
figure.savefig("surface_3d.png", dpi=100)
