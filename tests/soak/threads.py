"""Threads, long: `python tests/soak/threads.py --threads 8 --calls 1000`.

Every call takes one of a few ready modules through partition, local complexity, export, a picture or a trace of its own
(`parallel_calls`), while one more thread trains a network. What comes out is compared with what one thread gives.
Then a tenth as many figures and frames, whose settings of matplotlib would show on pictures of the caller's own. Exit code 1
when a call fails or differs, when torch or matplotlib are left in another state, or the training ends elsewhere.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from parallel_calls import KINDS, network, state


def trained(steps: int, stop: threading.Event | None = None) -> bytes:
    """Weights after so many steps; in a thread of its own until it is stopped, again and again."""
    while True:
        generator = torch.Generator().manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        optimiser = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(steps):
            optimiser.zero_grad()
            net(torch.ones(4, 2)).square().sum().backward()
            optimiser.step()
        weights = b"".join(p.detach().numpy().tobytes() for p in net.parameters())
        if stop is None or stop.is_set():
            return weights


STYLED = ("figure", "frame")
"""Calls that change matplotlib's settings, which are one for the process, as long as they last."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--calls", type=int, default=1000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    networks = [network(seed) for seed in range(options.threads)]
    expected = {(kind, i): call(net) for kind, call in KINDS.items() for i, net in enumerate(networks)}
    weights, before, began = trained(300), state(), time.perf_counter()
    problems: Counter[str] = Counter()

    def work(kind: str, i: int) -> str:
        try:
            return kind if KINDS[kind](networks[i]) == expected[kind, i] else f"{kind}: differs"
        except Exception:
            return f"{kind}: {traceback.format_exc(limit=-2)}"

    stop, ends = threading.Event(), list[bytes]()
    trainer = threading.Thread(target=lambda: ends.append(trained(300, stop)))
    trainer.start()
    said: Counter[str] = Counter()
    for kinds, calls in (([kind for kind in KINDS if kind not in STYLED], options.calls), (STYLED, options.calls // 10)):
        with ThreadPoolExecutor(options.threads) as pool:
            tasks = [(kinds[number % len(kinds)], number // len(kinds) % len(networks)) for number in range(calls)]
            said.update(pool.map(work, *zip(*tasks, strict=True)))
    stop.set()
    trainer.join()
    problems.update({name: count for name, count in said.items() if name not in KINDS})
    problems.update({"the training ended elsewhere": 1} if ends != [weights] else {})
    problems.update({"torch or matplotlib are left in another state": 1} if state() != before else {})
    for name, count in problems.items():
        print(f"{count} times: {name}")
    print(f"{sum(said.values())} calls in {options.threads} threads, {sum(problems.values())} wrong, "
          f"{time.perf_counter() - began:.0f} s")  # fmt: skip
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
