r"""Step names: what the name of a checkpoint file says of its step.
Also what several names of one kind say together.

    net_000120              120      a number of its own
    epoch=3-step=1200       1200     a number that belongs to a word for steps; epoch 3 is known besides
    net_1k, step_1e3        1000     k, M and e are understood
    best_model_3_acc=0.93   3        what follows a metric's name, or stands behind = or :, is no step, nor is a decimal
    resnet18-5c106cde       none     nor are sizes of architectures, digests and dates

The name is taken apart into words and numbers; `Reading` says what each may be, and `listings` decides with all files of a
folder in view. This file knows no files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from splineviz.training import conventions
from splineviz.training.conventions import AVERAGE, BEST, EMA, FIRST, LAST, NETWORK, OTHER

STEPS = {
    "step", "steps", "s", "iteration", "iterations", "iter", "iters", "it", "its", "itr", "update", "updates", "timestep",
    "timesteps", "gstep", "globalstep", "kimg", "tick", "i",
}  # fmt: skip
EPOCHS = {"epoch", "epochs", "ep", "eps", "epo", "epc", "e"}
CHECKPOINTS = {"checkpoint", "checkpoints", "ckpt", "ckpts", "chkpt", "cp", "global", "at", "after", "num", "no"}
"""Words that say nothing of which network it is."""
MEASURED = {
    "acc", "accuracy", "top", "loss", "losses", "val", "valid", "validation", "vloss", "err", "error", "score", "psnr",
    "ssim", "fid", "miou", "iou", "dice", "map", "ap", "f", "auc", "auroc", "ppl", "perplexity", "bleu", "rouge", "wer",
    "cer", "mse", "mae", "rmse", "nll", "bpc", "elbo", "kl", "reward", "rewards", "return", "ret", "metric", "metrics",
    "recall", "precision", "hit", "ce", "bce", "r", "mcc", "kappa", "ndcg", "mrr", "lpips", "sdr", "snr",
}  # fmt: skip
SETTINGS = {
    "lr", "wd", "bs", "batch", "size", "seed", "fold", "width", "w", "depth", "dim", "dims", "hidden", "rank", "gpu",
    "node", "world", "trial", "run", "exp", "experiment", "version", "v", "ver", "rev", "split", "cfg", "config", "alpha",
    "beta", "gamma", "sigma", "tau", "temp", "dropout", "drop", "decay", "momentum", "px", "res", "resolution", "part",
    "shard", "of", "job", "id", "pid", "classes", "heads", "bits", "bit", "reps", "rep", "days", "day", "gb", "mb", "h",
    "min", "hz",
}  # fmt: skip
RUNS = SETTINGS - {
    "batch", "size", "of", "part", "shard", "id", "pid", "job", "days", "day", "gb", "mb", "h", "min", "hz", "temp",
}  # fmt: skip
"""Settings that one run has one value of."""
ARCHITECTURES = {
    "resnet", "resnext", "preresnet", "preactresnet", "wideresnet", "wrn", "vgg", "densenet", "mobilenet", "efficientnet",
    "efficientnetb", "vit", "deit", "swin", "convnext", "alexnet", "lenet", "inception", "regnet", "yolo", "yolov", "bert",
    "gpt", "llama", "imagenet", "cifar", "resnetv", "mobilenetv", "googlenet", "squeezenet", "shufflenet", "unet", "fashion",
}  # fmt: skip
ROLE_WORDS = {
    **dict.fromkeys(("ema", "swa", "teacher", "target", "polyak", "shadow"), EMA),
    **dict.fromkeys(("avg", "average", "averaged", "ave", "soup"), AVERAGE),
    **dict.fromkeys(("best", "bestmodel", "top1"), BEST),
    **dict.fromkeys(("last", "latest", "final", "finished", "end", "newest", "current", "recent"), LAST),
    **dict.fromkeys(("init", "initial", "initialization", "initialisation", "untrained", "start", "first"), FIRST),
    **dict.fromkeys(
        ("opt", "optim", "optimizer", "optimiser", "optimizers", "scheduler", "sched", "scaler", "rng", "random",
         "args", "config", "hparams", "history", "log", "logs", "metrics", "losses", "results", "criterion", "mask", "masks",
         "tokenizer", "vocab", "stats", "embeddings", "dataset", "data", "samples", "sampler", "dataloader"),
        OTHER,
    ),
}  # fmt: skip
"""Words that say what a file is."""

_TIMES = {"k": 1e3, "m": 1e6}
_DATE = (
    r"(?<!\d)(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"
    r"(?:[-_T+ ]?[0-2]\d[-_:.h]?[0-5]\d(?:[-_:.]?[0-5]\d)?)?(?!\d)"
)
_DIGEST = (
    r"(?<![A-Za-z0-9])(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])(?![0-9]*e\d+(?![0-9a-f]))(?![a-f]+\d+(?![0-9a-f]))"
    r"[0-9a-f]{7,}(?![A-Za-z0-9])"
)
_THOUSANDS = r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d,])"
_COUNTED = "|".join(sorted((word for word in STEPS if len(word) > 1), key=len, reverse=True))
_GROUPS = rf"(?i)(?<![a-z])((?:{_COUNTED})[-_=]?)(\d{{1,3}}(?:_\d{{3}})+)(?!\d)"
_NUMBER = r"\d+(?:\.\d+)?(?:[eE][+-]?\d+(?![A-Za-z]))?(?:[kKmM](?![A-Za-z0-9]))?"
_TOKEN = re.compile(rf"(?P<number>{_NUMBER})|(?P<word>[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+)|(?P<gap>[^A-Za-z0-9]+)")


@dataclass(frozen=True)
class Reading:
    """What a name says.

    step, epoch: by words. plain, weak: numbers that stand alone, or stick to a word; behind: those that stand behind the
    epoch. role: what the file is. identity: the words that are left, the same for all files of one series. settings: numbers
    that belong to a word for a setting, of which a run has one. by: the convention that it follows, "" for the grammar.
    """

    step: int | None = None
    epoch: int | None = None
    plain: tuple[int, ...] = ()
    weak: tuple[int, ...] = ()
    role: str = NETWORK
    identity: tuple[str, ...] = ()
    by: str = ""
    behind: tuple[int, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def best(self) -> int | None:
        """The step as the name alone has it."""
        numbers = (self.step, self.epoch, *self.plain[::-1], *self.weak[::-1])
        return next((n for n in numbers if n is not None), None)


@dataclass
class _Number:
    text: str
    value: int | None
    before: str
    after: str
    gap: str
    sign: int
    first: bool
    follows: str


def read(path: str) -> Reading:
    """What a path says, relative to the run's folder and without its file's suffix."""
    found = conventions.known(path)
    if found is None:
        return _grammar(path)
    convention, match = found
    groups = {name: int(text) for name, text in match.groupdict().items() if text is not None}
    plain = (groups["plain"],) if "plain" in groups else ()
    return Reading(groups.get("step"), groups.get("epoch"), plain, (), convention.role, _identity(path), convention.who)


def _grammar(path: str) -> Reading:
    name = _bare(path)
    numbers = list(_numbers(name))
    step = epoch = None
    plain: list[int] = []
    weak: list[int] = []
    behind: list[int] = []
    settings: list[tuple[str, str]] = []
    for number in numbers:
        kind = _kind(number)
        if kind == "no" and number.before in RUNS:
            settings.append((number.before, number.text))
        if number.value is None or kind == "no":
            continue
        value = number.sign * number.value
        if kind == "step":
            step = value
        elif kind == "epoch":
            epoch = value
        else:
            (plain if kind == "plain" else weak).append(value)
            behind += [value] if kind == "plain" and epoch is not None else []
    return Reading(
        step, epoch, tuple(plain), tuple(weak), _role(_words(name)), _identity(path), "", tuple(behind), tuple(settings)
    )


def _bare(path: str) -> str:
    """A name without digests, dates, marks within large numbers, and decimals with underscores behind a metric's name."""
    name = re.sub(_DIGEST, " ", re.sub(_DATE, " ", path))
    name = re.sub(_THOUSANDS, lambda found: found[0].replace(",", ""), name)
    name = re.sub(_GROUPS, lambda found: found[1] + found[2].replace("_", ""), name)
    measured = "|".join(sorted(MEASURED, key=len, reverse=True))
    return re.sub(rf"(?i)(?<![a-z])({measured})([-_=:]*)0[_,](?=\d)", r"\g<1>\g<2>0.", name)


def _words(name: str) -> list[str]:
    return [m["word"].lower() for m in _TOKEN.finditer(name) if m["word"]]


def _role(words: Sequence[str]) -> str:
    roles = [ROLE_WORDS[word] for word in words if word in ROLE_WORDS]
    return next((role for role in (OTHER, EMA, AVERAGE, BEST, LAST, FIRST) if role in roles), NETWORK)


def _identity(path: str) -> tuple[str, ...]:
    """Words by which two series of one folder differ; of a folder of one checkpoint its own name counts."""
    spoken = STEPS | EPOCHS | CHECKPOINTS | MEASURED | ROLE_WORDS.keys()
    named = path.rpartition("/")[0] or path
    return tuple(word for word in _words(_bare(named)) if word not in spoken and word not in ("v", "train", "test"))


def _numbers(name: str) -> Iterator[_Number]:
    tokens = [(m.lastgroup or "", m.group()) for m in _TOKEN.finditer(name)]
    for i, (kind, text) in enumerate(tokens):
        if kind != "number":
            continue
        before, gap = "", ""
        if i and tokens[i - 1][0] == "word":
            before = tokens[i - 1][1].lower()
        elif i:
            gap = tokens[i - 1][1] if tokens[i - 1][0] == "gap" else ""
            if i > 1 and tokens[i - 2][0] == "word":
                before = tokens[i - 2][1].lower()
        after, follows = "", ""
        nearby = tokens[i + 1 : i + 3]
        if nearby and nearby[0][0] == "gap":
            follows, nearby = nearby[0][1], nearby[1:]
        if nearby and nearby[0][0] == "word":
            after = nearby[0][1].lower()
            place = tokens.index(nearby[0], i)
            rest = [kind for kind, _ in tokens[place + 1 : place + 3] if kind != "gap" or place + 2 < len(tokens)]
            if "number" in rest[:2] and (follows or rest[0] == "number") and not (not follows and "gap" in rest[:1]):
                after = ""  # it belongs to the number behind it
        sign = -1 if re.fullmatch(r"[:=]-", gap) else 1
        yield _Number(text, _value(text), before, after, gap, sign, i == 0, follows)


def _value(text: str) -> int | None:
    """A whole number; None for a decimal."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:[eE]([+-]?\d+))?([kKmM])?", text)
    assert found is not None
    number = float(found[1]) * 10.0 ** min(int(found[2] or 0), 18) * _TIMES.get((found[3] or "").lower(), 1.0)
    if not (found[2] or found[3]):
        return None if "." in text else int(text)
    return round(number) if abs(number - round(number)) < 1e-9 * max(number, 1.0) and number < 1e15 else None


def _kind(n: _Number) -> str:
    """step, epoch, plain, weak, or no: what a number may be."""
    bound = any(sign in n.gap for sign in ":=")
    if n.before in STEPS and (n.before != "s" or bound or not n.gap or n.gap in "-_ "):
        return "step"
    if n.before in EPOCHS and (len(n.before) > 1 or bound or not n.gap):
        return "epoch"
    if bound or n.before in MEASURED or n.before in SETTINGS:
        return "no"
    if n.after in STEPS - {"s"}:
        return "step"
    if n.after in EPOCHS - {"e"}:
        return "epoch"
    if not n.follows and n.after in (SETTINGS | {"best", "th", "x", "d", "bit"}) and n.after not in ("v", "w"):
        return "no"
    if n.before in ROLE_WORDS and ROLE_WORDS[n.before] == AVERAGE:
        return "no"
    if n.before in ARCHITECTURES:
        return "weak" if n.gap else "no"
    return "plain" if n.gap or n.first else "weak"


def series(readings: Sequence[Reading]) -> list[int | None] | None:
    """The steps of names of one kind by the numbers that stand alone; None in doubt, when several of them vary."""
    for numbers in ([r.plain for r in readings], [r.weak for r in readings]):
        count = {len(row) for row in numbers}
        if count == {0}:
            continue
        if len(count) > 1:
            return None
        columns = list(zip(*numbers, strict=True))
        varying = [column for column in columns if len(set(column)) > 1]
        if len(varying) > 1:
            return None
        if varying:
            return list(varying[0])
        if len(readings) == 1 or numbers[0] == readings[0].plain:
            return list(columns[-1])
    return [None] * len(readings)
