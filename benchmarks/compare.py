"""Enumeration, drawing, local complexity and the whole job beside other programs: `make bench`.

    python benchmarks/compare.py                 all, under five minutes on two quiet cores
    python benchmarks/compare.py --limit 60      give every other program a minute a network
    python benchmarks/compare.py --quick         the smallest networks only, to try the script

Writes benchmarks/results/: peers.md and peers.csv (tables), peers.png (plot), with versions and machine; they are kept in
the repository. Each program runs in a process of its own. A program that did not end within the limit on one network is
not asked about larger ones.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import peers
from machine import machine

RESULTS = Path(__file__).parent / "results"
COLORS = {"splineviz": "#7a0177", "regioncam": "#1f78b4", "affinitree": "#e08214", "relucent": "#4d9221", "exact": "#777777"}
PACKAGES = ("splineviz", "regioncam", "affinitree", "relucent", "matplotlib", "torch", "numpy", "numba")
MARKS = {"splineviz": "o", "regioncam": "s", "affinitree": "^", "relucent": "D", "exact": "x"}
Row = dict[str, object]


def enumeration(limit: float, quick: bool) -> list[Row]:
    """A row for each network and program: seconds and regions, or why there are none."""
    rows: list[Row] = []
    too_slow: set[str] = set()
    networks = list(peers.NETWORKS)[: 4 if quick else None]
    for network in networks:
        special = "," in network and "784" not in network  # a degenerate network says nothing about larger ones
        for program in peers.PROGRAMS:
            result = {"failed": "not asked"} if program in too_slow else peers.ask(program, network, limit)
            if str(result.get("failed", "")).startswith("over") and not special:
                too_slow.add(program)
            rows.append({"network": network, "program": program, **result})
            print(f"{network:38} {program:12} {said(rows[-1])}", flush=True)
    return rows


def said(row: Row) -> str:
    """A row's result in a few words."""
    if "seconds" in row:
        return f"{row['regions']:,}, {figures(row['seconds'])} s"
    why = str(row["failed"])
    return f"error: {why.split(':')[0].rsplit('.', 1)[-1]}" if ":" in why else why


def figures(seconds: object) -> str:
    """Two significant figures."""
    value = float(str(seconds))
    return f"{value:.0f}" if value >= 9.5 else f"{value:.2g}" if value >= 0.01 else f"{value:.5f}".rstrip("0")


def table(head: list[str], lines: list[list[str]]) -> str:
    """Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def enumerated(rows: list[Row]) -> str:
    """Regions and seconds, a line a network."""
    networks = list(dict.fromkeys(str(row["network"]) for row in rows))
    programs = list(dict.fromkeys(str(row["program"]) for row in rows))
    found = {(row["network"], row["program"]): said(row) for row in rows}
    return table(["network", *programs], [[n, *(found[n, p] for p in programs)] for n in networks])


def plot(rows: list[Row], path: Path) -> None:
    """Seconds over regions, one line a program; degenerate networks are left out."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), dpi=150, layout="constrained")
    ax = figure.add_subplot(xscale="log", yscale="log", xlabel="regions in the window", ylabel="seconds")
    for program in dict.fromkeys(str(row["program"]) for row in rows):
        plain = [
            r
            for r in rows
            if r["program"] == program and "seconds" in r and ", " not in str(r["network"]).replace(", plane", "")
        ]
        points = sorted((float(str(r["regions"])), float(str(r["seconds"]))) for r in plain)
        if points:
            label = "exact rational arithmetic" if program == "exact" else program
            ax.plot(*zip(*points, strict=True), MARKS[program] + "-", color=COLORS[program], label=label, markersize=5)
    ax.grid(alpha=0.25)
    ax.legend(frameon=False, fontsize=9)
    ax.set_title("Linear regions of random networks on a square", fontsize=10)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=peers.LIMIT, help="seconds a program gets for one network")
    parser.add_argument("--quick", action="store_true", help="the smallest networks only")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    options = parser.parse_args()
    found = enumeration(options.limit, options.quick)

    import complexity
    import drawing
    import job

    import splineviz as sv

    with tempfile.TemporaryDirectory() as temporary:
        drawn = [drawing.measure(n, 2, Path(temporary)) for n in ([10_000] if options.quick else [10_000, 100_000])]
    points = 640 if options.quick else 4_200
    counted = complexity.measure(sv.trace(complexity.network(), (784,)), "784-200x3-10", points, 2)
    done = job.measure(2 if options.quick else 6, (960, 540))

    text = f"""\
# splineviz beside other programs

{machine(*PACKAGES)}. Written by `make bench`; what each program is and does: `benchmarks/peers.py`.

## Regions of a network on a square, and seconds

Every program gets {
        options.limit:g} s a network ("over" when it needs more; then it is not asked about larger ones). Where numbers
of regions differ, the exact column decides. regioncam computes in single precision, the others in double.

{enumerated(found)}

![seconds over regions](peers.png)

## A picture of all regions

A whole frame of the film (1920 x 1080: regions, knots, boundary, samples, curves) beside a bare matplotlib
`PolyCollection` of the same polygons at the same size. Seconds.

{
        table(
            ["regions", "matplotlib", "splineviz, first frame", "later frames"],
            [[f"{r['regions']:,}", *(figures(r[k]) for k in ("bare", "first", "later"))] for r in drawn],
        )
    }

## Local complexity

{points:,} points, P = 25, 784-200x3-10, beside the 2P plain forward passes in batches. Seconds.

{
        table(
            ["numbers", "plain passes", "splineviz", "points that differ"],
            [
                [
                    str(r["dtype"]).removeprefix("torch."),
                    figures(r["plain"]),
                    figures(r["here"]),
                    str(r["points that differ"]),
                ]
                for r in counted
            ],
        )
    }

## The whole job

{
        done["checkpoints"]
    } checkpoints of 784-200x3-10 to a film: `splineviz animate` beside a script of regioncam, PolyCollection, plain
passes and PyAV, which draws less and keeps nothing (`benchmarks/job.py`).

{
        table(
            ["", "seconds", "regions in all"],
            [
                ["by hand", figures(done["by hand"]), f"{done['regions by hand']:,}"],
                ["splineviz", figures(done["splineviz"]), f"{done['regions']:,}"],
            ],
        )
    }
"""
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "peers.md").write_text(text)
    with (options.out / "peers.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["network", "program", "regions", "seconds", "failed"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    plot(found, options.out / "peers.png")
    print(text)


if __name__ == "__main__":
    main()
