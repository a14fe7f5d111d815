"""Draw random configurations from a seed: every model family and every technique, in random sizes.

Each takes a few seconds on one core of a CPU, and has batches large enough for activations and logits to
matter. Loads no torch.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from memlab.results.record import STEPS, Step
from memlab.results.techniques import ALL, FULL_FIRST

Config = dict[str, Any]
"""The fields of a config.json."""
_PRECISIONS: tuple[Literal["mixed", "bf16"], ...] = ("mixed", "bf16")


@dataclass(frozen=True)
class TechniqueVariant:
    """A technique with the options that make it another run: precision, the stack's step, ZeRO's stage."""

    technique: str
    precision: Literal["mixed", "bf16"]
    step: Step | None = None
    stage: int | None = None


VARIANTS = (
    *(TechniqueVariant(one.name, precision) for one in FULL_FIRST for precision in _PRECISIONS),
    # Activations on a CPU are in the host's memory already: there is nothing to offload.
    *(
        TechniqueVariant(one.name, "bf16", step)
        for one in ALL
        if one.stacked
        for step in STEPS
        if step != "offload"
    ),
)
"""The variants of a single process: all but ZeRO."""

PER_FAMILY = 6
"""Variants drawn for each family."""
STAGES = (0, 1, 2, 3)
"""ZeRO's stages, each drawn once, with `RANKS` ranks."""
RANKS = 2


@dataclass(frozen=True)
class DrawnConfiguration:
    """One run to measure and to predict."""

    family: str
    """transformers' `model_type`."""
    config: Config
    variant: TechniqueVariant
    batch: int
    """Sequences a step, of `seq` tokens each."""
    seq: int
    rank: int
    """Of the adapters, where the technique has any."""


def draw(seed: int) -> list[DrawnConfiguration]:
    """Return the configurations of a seed, the same ones on every machine.

    Each family gets `PER_FAMILY` variants; the counts of families per variant differ by at most one. Then
    come ZeRO's stages, which start processes of their own, with one family each.
    """
    rng = random.Random(seed)
    names = list(FAMILIES)
    variants: list[TechniqueVariant] = []
    while len(variants) < PER_FAMILY * len(names):
        variants += rng.sample(VARIANTS, len(VARIANTS))
    families = [name for _ in range(PER_FAMILY) for name in rng.sample(names, len(names))]
    sharded = [
        TechniqueVariant(technique.name, "mixed", stage=stage)
        for technique in ALL
        if technique.sharded
        for stage in STAGES
    ]
    families += rng.sample(names, len(sharded))
    variants = [*variants[: PER_FAMILY * len(names)], *sharded]
    return [_draw(rng, family, variant) for family, variant in zip(families, variants, strict=True)]


def _draw(rng: random.Random, family: str, variant: TechniqueVariant) -> DrawnConfiguration:
    config = {"model_type": family} | FAMILIES[family](rng)
    batch = rng.randint(1, 6)
    seq = rng.randint(40, max(64, 1200 // batch))
    return DrawnConfiguration(family, config, variant, batch, seq, rank=rng.randint(2, 32))


# ---- families --------------------------------------------------------------------------------------------


def _decoder(rng: random.Random) -> Config:
    """Return the fields that nearly every family's config.json has."""
    heads, width = rng.randint(2, 8), 8 * rng.randint(2, 8)
    hidden = heads * width
    return {
        "vocab_size": rng.randint(300, 12000),
        "hidden_size": hidden,
        "intermediate_size": 8 * rng.randint(hidden // 8, hidden // 2),
        "num_hidden_layers": rng.randint(2, 5),
        "num_attention_heads": heads,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": rng.random() < 0.5,
    }


def _grouped(rng: random.Random) -> Config:
    config = _decoder(rng)
    heads = config["num_attention_heads"]
    divisors = [n for n in range(1, heads + 1) if heads % n == 0]
    return config | {"num_key_value_heads": rng.choice(divisors)}


def _wide_heads(rng: random.Random) -> Config:
    """Return a configuration whose heads' total width is not the hidden size."""
    return _grouped(rng) | {"head_dim": 8 * rng.randint(2, 10)}


def _windowed(rng: random.Random) -> Config:
    return _wide_heads(rng) | {"sliding_window": rng.randint(16, 512)}


def _gpt2(rng: random.Random) -> Config:
    config = _decoder(rng)
    return {
        "vocab_size": config["vocab_size"],
        "n_embd": config["hidden_size"],
        "n_inner": config["intermediate_size"],
        "n_layer": config["num_hidden_layers"],
        "n_head": config["num_attention_heads"],
        "n_positions": config["max_position_embeddings"],
        "tie_word_embeddings": config["tie_word_embeddings"],
    }


def _opt(rng: random.Random) -> Config:
    config = _decoder(rng)
    config["ffn_dim"] = config.pop("intermediate_size")
    return config | {"word_embed_proj_dim": config["hidden_size"]}


def _phi3(rng: random.Random) -> Config:
    return _grouped(rng) | {"pad_token_id": 0}  # the default lies beyond a small vocabulary


FAMILIES: dict[str, Callable[[random.Random], Config]] = {
    "llama": _grouped,
    "mistral": _windowed,
    "qwen2": _grouped,
    "qwen3": _wide_heads,
    "gemma": _wide_heads,
    "gemma2": _windowed,
    "gemma3_text": _windowed,
    "gpt2": _gpt2,
    "gpt_neox": _decoder,
    "opt": _opt,
    "phi": _grouped,
    "phi3": _phi3,
}
