"""Names of classes and layers as pictures write them: mathematics as text, module paths cut in front until they fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.mathtext import MathTextParser

from splineviz.geometry.partition import Partition


def as_text(name: str) -> str:
    """A name as matplotlib shows it: mathematics between dollar signs where it is some, else the signs themselves."""
    if "$" not in name:
        return name
    try:
        MathTextParser("path").parse(name)
        return name
    except (ValueError, RuntimeError):
        return name.replace("$", r"\$")


def layer_names(partition: Partition, fits: Callable[[str], bool]) -> list[str]:
    """What pictures call the kink layers, counted from 0 as everywhere: "layer 1 · encoder.3".

    The module path is cut at its front, and left out of all names, until every name `fits`.
    """
    return named_layers(len(partition.unit_offsets) - 1, partition.layer_paths, fits)


def named_layers(count: int, paths: Sequence[str], fits: Callable[[str], bool]) -> list[str]:
    """The same of `count` layers whose module paths, as far as they are known, are these."""
    paths = [*paths, *[""] * count][:count]
    longest = max(map(len, paths), default=0)
    for most in range(longest, min(longest, 4) - 1, -1) if longest else ():
        names = [f"layer {k}" + (f" · {ending(path, most)}" if path else "") for k, path in enumerate(paths)]
        if all(map(fits, names)):
            return [as_text(name) for name in names]
    return [f"layer {k}" for k in range(count)]


def ending(path: str, most: int) -> str:
    """A module path in at most so many letters: its end tells more than its beginning."""
    return path if len(path) <= most else "\N{HORIZONTAL ELLIPSIS}" + path[1 - most :]
