"""Draw configurations that nobody chose: every family and every technique, in sizes of a seeded generator.

Small enough for a few seconds each on one core of a CPU, and yet with batches long enough for activations and
logits to count. No torch.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from memlab.results.record import STEPS, Step
from memlab.results.techniques import ALL, FULL_FIRST

Config = dict[str, Any]
_PRECISIONS: tuple[Literal["mixed", "bf16"], ...] = ("mixed", "bf16")


@dataclass(frozen=True)
class Arm:
    """A technique in one of its kinds."""

    technique: str
    precision: Literal["mixed", "bf16"]
    step: Step | None = None
    stage: int | None = None


ARMS = (
    *(Arm(one.name, precision) for one in FULL_FIRST for precision in _PRECISIONS),
    # Activations on a CPU are in the host's memory already: there is nothing to offload.
    *(Arm(one.name, "bf16", step) for one in ALL if one.stacked for step in STEPS if step != "offload"),
)
"""What a single process does."""

PER_FAMILY = 6
STAGES = (0, 1, 2, 3)
RANKS = 2


@dataclass(frozen=True)
class Drawn:
    """One configuration. `config` is a config.json."""

    family: str
    config: Config
    arm: Arm
    batch: int
    seq: int
    rank: int


def draw(seed: int) -> list[Drawn]:
    """Return the configurations of a seed, the same ones everywhere.

    Each family meets `PER_FAMILY` arms, each arm as many families as any other, give or take one. Then come
    ZeRO's stages, which start processes of their own, with one family each.
    """
    chance = random.Random(seed)
    names = list(FAMILIES)
    arms: list[Arm] = []
    while len(arms) < PER_FAMILY * len(names):
        arms += chance.sample(ARMS, len(ARMS))
    plan = [name for _ in range(PER_FAMILY) for name in chance.sample(names, len(names))]
    sharded = [Arm(one.name, "mixed", stage=stage) for one in ALL if one.sharded for stage in STAGES]
    plan += chance.sample(names, len(sharded))
    arms = [*arms[: PER_FAMILY * len(names)], *sharded]
    return [_draw(chance, family, arm) for family, arm in zip(plan, arms, strict=True)]


def _draw(chance: random.Random, family: str, arm: Arm) -> Drawn:
    config = {"model_type": family} | FAMILIES[family](chance)
    batch = chance.randint(1, 6)
    seq = chance.randint(40, max(64, 1200 // batch))
    return Drawn(family, config, arm, batch, seq, rank=chance.randint(2, 32))


# ---- families --------------------------------------------------------------------------------------------


def _decoder(chance: random.Random) -> Config:
    """Return what nearly every configuration has."""
    heads, width = chance.randint(2, 8), 8 * chance.randint(2, 8)
    hidden = heads * width
    return {
        "vocab_size": chance.randint(300, 12000),
        "hidden_size": hidden,
        "intermediate_size": 8 * chance.randint(hidden // 8, hidden // 2),
        "num_hidden_layers": chance.randint(2, 5),
        "num_attention_heads": heads,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": chance.random() < 0.5,
    }


def _grouped(chance: random.Random) -> Config:
    config = _decoder(chance)
    heads = config["num_attention_heads"]
    shared = [n for n in range(1, heads + 1) if heads % n == 0]
    return config | {"num_key_value_heads": chance.choice(shared)}


def _wide_heads(chance: random.Random) -> Config:
    """Heads that together are not as wide as the hidden state."""
    return _grouped(chance) | {"head_dim": 8 * chance.randint(2, 10)}


def _windowed(chance: random.Random) -> Config:
    return _wide_heads(chance) | {"sliding_window": chance.randint(16, 512)}


def _gpt2(chance: random.Random) -> Config:
    config = _decoder(chance)
    return {
        "vocab_size": config["vocab_size"],
        "n_embd": config["hidden_size"],
        "n_inner": config["intermediate_size"],
        "n_layer": config["num_hidden_layers"],
        "n_head": config["num_attention_heads"],
        "n_positions": config["max_position_embeddings"],
        "tie_word_embeddings": config["tie_word_embeddings"],
    }


def _opt(chance: random.Random) -> Config:
    config = _decoder(chance)
    config["ffn_dim"] = config.pop("intermediate_size")
    return config | {"word_embed_proj_dim": config["hidden_size"]}


def _phi3(chance: random.Random) -> Config:
    return _grouped(chance) | {"pad_token_id": 0}  # its usual one lies beyond a small vocabulary


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
