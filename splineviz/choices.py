"""Choices: every closed set of words that a user may choose from, in the order in which help screens list them.

Flags, docstrings, error messages and the code that acts on a word read it here; a test compares each set with the table of
those that do the work. This file imports nothing, so that help comes at once.
"""

RECIPES = ("mnist-mlp", "mnist-x8", "mnist-conv", "mnist-conv-bn", "two-moons", "spline", "waves", "patches-resnet")
"""Trainings that come along (`training.recipes`)."""

DATA = ("digits", "mnist", "patches", "spline", "two-moons", "waves")
"""Data sets that come along (`training.datasets`)."""

FILLS = ("slope", "class", "margin", "layer", "area", "active", "lc", "hash", "random", "none")
"""What colours a region (`drawing.fills`)."""

EXPLORED = ("slope", "class", "margin", "layer", "area", "hash")
"""Those of FILLS that the explorer's page has."""

PANELS = (
    "accuracy", "complexity", "wide", "exact", "regions", "migration", "variation", "units", "boundary", "gradient",
    "folding", "churn",
)  # fmt: skip
"""Panels of curves beside a slice (`drawing.curves`)."""

MOST_PANELS = 4
FILM_PANELS = ("accuracy", "wide", "complexity", "migration")
"""Those of a film, unless others are asked for."""

COMPARED_PANELS = ("accuracy", "complexity", "regions")
"""Those below runs that are compared."""

PALETTES = ("viridis", "cividis", "grey")
"""Sequential colours (`drawing.fills`); in Python any colour map of matplotlib as well."""

FORMATS = ("mp4", "webm", "webp", "apng", "gif")
"""Formats of a film (`drawing.video`)."""

CENTERS = ("anchors", "boundary")
"""Where the middle of a film's window may lie, besides a sample or a point (`workflows.preflight`)."""

QUALITIES = ("small", "usual", "fine")
"""How much of a picture a film keeps, against its size (`drawing.video`)."""

UNITS = ("step", "epoch", "checkpoint")
"""What the steps of a run count (`Run.unit`)."""

STYLES = ("sans", "serif", "slides")
"""Styles of a figure for print (`drawing.print_figure`)."""

WIDTHS = ("column", "double")
"""Named widths of a figure for print."""

STUDIES = (
    "curves", "dynamics", "migration", "kymograph", "lineage", "windows", "layers", "exact", "heat", "deformation",
)  # fmt: skip
"""What the paper's figures show of a run (`workflows.study`)."""

REPRODUCTIONS = (
    "fig1", "fig2", "fig3", "fig5", "fig6", "fig7", "fig10", "fig13", "fig14", "fig24", "fig25", "fig26", "fig34", "conv",
    "migration",
)  # fmt: skip
"""The paper's figures (`workflows.reproduce`)."""

TOURS = ("zoom", "turn", "slide")
"""Ways that a view moves along (`workflows.views`)."""

PLACES = ("train", "test", "random")
"""Where the local complexity is sampled."""

STATES = ("done", "running", "failed", "waiting")
"""How far a job is."""

PICTURES = (".png", ".pdf", ".svg")
"""Files of a figure."""

SAMPLES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".npy", ".pt", ".pth")
"""Files that hold one sample."""

SHELLS = ("bash", "zsh", "tcsh")
"""Shells that `splineviz complete` speaks to."""
