# %% [markdown]
# # A sweep of the plane
#
# A slice is one plane of the input space; here it turns about the line through two digits, from the third anchor of
# one class to another. What looks like birth and death of regions is one and the same network.

# %%
import os
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt
from PIL import Image
from torch import nn

import splineviz as sv

quick = os.environ.get("SPLINEVIZ_QUICK") == "1"
frames = 3 if quick else 16
data = sv.recipes.load_data("digits")
x, y = torch.as_tensor(np.asarray(data.train_x)).double().reshape(-1, 64), torch.as_tensor(data.train_y)

# %% Train
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 10)).double()
optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
for _ in range(10 if quick else 300):
    optimiser.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimiser.step()

# %% Planes through two fixed samples and a third that walks once through four more and back
fixed, stops = x[:2], x[[2, 3, 4, 5]]
slices = []
for frame in range(frames):
    at = 4 * frame / frames
    share = (1 - np.cos(np.pi * (at % 1))) / 2
    third = (1 - share) * stops[int(at)] + share * stops[(int(at) + 1) % 4]
    slices.append((third, sv.partition(model, sv.Plane.through(*fixed, third), window=3.2)))

# %% One picture each, in one scale of colours
limits = sv.draw.shared_limits([part for _, part in slices], fill="slope")
pictures = []
for frame, (third, part) in enumerate(slices):
    figure, ax = plt.subplots(figsize=(4.4, 4.4), layout="constrained")
    sv.draw.regions(part, ax=ax, limits=limits, line_width=0.4)
    sv.draw.boundary(part, ax=ax)
    sv.draw.anchors(part.plane, ax=ax, thumbnails=[image.reshape(8, 8) for image in (*fixed, third)], size=40)
    ax.set(xticks=[], yticks=[], title=f"{part.num_regions:,} regions")
    path = Path("plane_sweep") / f"{frame:03d}.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)
    pictures.append(Image.open(path).convert("RGB"))

# %% A clip, and four of its frames side by side
clip = {"save_all": True, "append_images": pictures[1:], "duration": 200, "loop": 0, "quality": 40, "kmax": 1, "method": 6}
pictures[0].save("plane_sweep.webp", **clip)  # kmax=1: a frame that builds on others has blocks
chosen = [pictures[k * len(pictures) // 4] for k in range(4)]
row = Image.new("RGB", (sum(picture.width for picture in chosen), chosen[0].height), "white")
for index, picture in enumerate(chosen):
    row.paste(picture, (index * picture.width, 0))
row.save("plane_sweep.png")
