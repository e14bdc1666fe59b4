# %% [markdown]
# # Figures 2 and 3 of the paper
#
# "Deep Networks Always Grok and Here is Why" (arXiv 2402.15555): accuracy, robustness and local complexity over
# training with two slices, and a network from the plane to the line over its regions. `splineviz reproduce` has the
# other figures.
#
# Quick here too: the full setting trains for 100,000 steps, half an hour on two cores; say SPLINEVIZ_FULL=1 for it.

# %%
import os
from pathlib import Path

from splineviz.workflows.reproduce import reproduce

full = os.environ.get("SPLINEVIZ_FULL") == "1"
steps = None if full else 300 if os.environ.get("SPLINEVIZ_QUICK") == "1" else 10_000

# %% Train, measure, draw; what took long is kept in the folder
for name in ("fig3",) if steps == 300 else ("fig2", "fig3"):
    for path in reproduce(name, out=Path("paper_figures"), quick=not full, steps=steps):
        print(path)
