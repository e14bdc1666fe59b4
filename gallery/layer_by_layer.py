# %% [markdown]
# # Layer by layer
#
# Every layer adds its knots to those before it. The first layer's are straight lines; a deeper layer's bend wherever
# they cross a knot that was there.

# %%
import os

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from torch import nn

import splineviz as sv
from splineviz.drawing.fills import face_layers, layer_colors

quick = os.environ.get("SPLINEVIZ_QUICK") == "1"
data = sv.recipes.load_data("spline")
x, y = torch.as_tensor(data.train_x).double(), torch.as_tensor(data.train_y).double()

# %% A network of four hidden layers learns two bumps
torch.manual_seed(3)
widths = (2, 16, 16, 16, 16, 1)
layers = [m for a, b in zip(widths, widths[1:], strict=False) for m in (nn.Linear(a, b), nn.ReLU())]
model = nn.Sequential(*layers[:-1]).double()
optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
for _ in range(20 if quick else 1500):
    optimiser.zero_grad()
    nn.functional.mse_loss(model(x).flatten(), y.flatten()).backward()
    optimiser.step()

# %% The first k layers, k = 1 .. 4: their knots over their own regions, a layer in the same colour in every picture
plane = sv.Plane([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
figure, axes = plt.subplots(1, 4, figsize=(13, 3.9), layout="constrained")
for depth, ax in enumerate(axes, start=1):
    part = sv.partition(model[: 2 * depth], plane, window=[[-1, -1], [1, -1], [1, 1], [-1, 1]])
    knots = layer_colors(part.edge_unit[:, 0], 4, dark=True)
    sv.draw.regions(part, ax=ax, fill=layer_colors(face_layers(part), 4), edge_color=knots, line_width=1.1)
    ax.set(xticks=[], yticks=[])
    name = f"layers 0 to {depth - 1}" if depth > 1 else "layer 0"
    ax.set_title(f"{name}: {part.num_regions:,} regions")
lines = [Line2D([], [], color=color, linewidth=2) for color in layer_colors(np.arange(4), 4, dark=True)]
names = [f"knots of layer {layer}" for layer in range(4)]
figure.legend(lines, names, loc="outside lower center", ncols=4, frameon=False)
figure.savefig("layer_by_layer.png", dpi=110)
