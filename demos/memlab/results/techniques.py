"""The techniques that have a demo: the one list from which all others follow. No torch.

Adding a technique is a script `demos/<name>.py`, its entry here and its pages `demos/pages/<name>.<lang>.md`:
it is then planned, predicted, swept, drawn in validations, tabled, listed on pages and known to questions.
"""

from __future__ import annotations

from dataclasses import dataclass

BASELINE = "baseline"
"""Full fine-tuning, which every technique is compared with."""


@dataclass(frozen=True)
class Technique:
    """What the lists of techniques need to know of one; the rest is in its script."""

    name: str
    """Of its script, its pages and its records."""
    label: str
    """What English tables and pictures call it."""
    cost: str
    """What it does, and so what it costs: the end of a sentence that begins with its name."""
    adapters: bool = False
    """Whether it trains adapters beside frozen weights."""
    stacked: bool = False
    """Whether it goes step by step (`memlab.results.record.STEPS`), all in bf16."""
    sharded: bool = False
    """Whether it shares the model states among ranks, by ZeRO's stages."""
    variants: tuple[str, ...] = ()
    """Options with which sweeps run it once more."""

    @property
    def plain(self) -> bool:
        """Whether it is one run on one rank, in either precision."""
        return not self.stacked and not self.sharded


ALL = (
    Technique(BASELINE, "full fine-tuning", "trains every weight"),
    Technique(
        "lora",
        "LoRA",
        "freezes the weights, so no gradients of theirs are computed, and trains adapters beside them",
        adapters=True,
    ),
    Technique(
        "qlora",
        "QLoRA",
        "LoRA on weights in four bits, which are unpacked for each product",
        adapters=True,
    ),
    Technique(
        "gradient_checkpointing",
        "gradient checkpointing",
        "trains every weight; runs the forward pass twice to keep little of it",
    ),
    Technique(
        "zero",
        "ZeRO",
        "trains every weight, and sends shards of the model states between the ranks",
        sharded=True,
    ),
    Technique(
        "pissa", "PiSSA", "LoRA, with adapters that begin at the largest singular values", adapters=True
    ),
    Technique(
        "dora",
        "DoRA",
        "LoRA, with the lengths of the weights' rows trained apart: each step computes them anew",
        adapters=True,
        variants=("--rank 8",),
    ),
    Technique("stack", "the stack", "puts one on top of the other", stacked=True),
)
"""In the order in which they are best read."""

TECHNIQUES = tuple(technique.name for technique in ALL)

PLAIN = tuple(technique for technique in ALL if technique.plain)

FULL_FIRST = tuple(sorted(PLAIN, key=lambda technique: technique.adapters))
"""The plain ones, those that train every weight before those that train adapters."""


def place(name: str) -> tuple[int, str]:
    """Return where a technique stands among others; one that is not in the list comes last."""
    return (TECHNIQUES.index(name) if name in TECHNIQUES else len(TECHNIQUES)), name
