"""Model states per rank: what ZeRO's formulas say, and how a table shows a record beside them. No torch.

Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", arXiv 1910.02054,
section 5: with Ψ parameters and N ranks, a rank keeps 16 Ψ bytes without sharding, 4 Ψ + 12 Ψ / N in stage 1,
2 Ψ + 14 Ψ / N in stage 2 and 16 Ψ / N in stage 3.
"""

from __future__ import annotations

from collections.abc import Iterable

from memlab.record import Record, Setup
from memlab.words import in_bytes, in_percent

KINDS = {"parameters": (2, 3), "gradients": (2, 2), "master": (4, 1), "moments": (8, 1)}
"""Bytes of each kind for a parameter, and the stage from which on they are shared out among the ranks."""

HEAD = ("ranks", "stage", *KINDS, "together", "the paper", "off by", "buffers, apart")


LEGEND = (
    "The paper: 16 without sharding, 4 + 12/N in stage 1, 2 + 14/N in stage 2, 16/N in stage 3. Each row is "
    "of the rank that keeps most. Buffers come on top in every stage, and activations are never sharded."
)


def paper(stage: int, ranks: int, parameters: int) -> dict[str, float]:
    """Return the bytes of each kind that a rank keeps by the paper's formulas."""
    return {
        kind: nbytes * parameters / (ranks if stage >= first else 1)
        for kind, (nbytes, first) in KINDS.items()
    }


def alike(a: Record, b: Record) -> bool:
    """Whether two runs differ in nothing but how they were sharded, and in their seed."""
    free = {"ranks", "rank_index", "stage", "offload", "seed"}
    names = [name for name in Setup.model_fields if name not in free]
    return (a.technique, a.device.name, a.origin.versions) == (
        b.technique,
        b.device.name,
        b.origin.versions,
    ) and all(getattr(a.setup, name) == getattr(b.setup, name) for name in names)


def sharded(records: Iterable[Record]) -> list[Record]:
    """Return the finished runs that have states, in the order of ranks and stage; the last of equal ones."""
    found = {
        (one.setup.ranks, one.setup.stage, one.setup.offload): one
        for one in records
        if one.states is not None and one.setup.rank_index is None and one.status == "ok"
    }
    return [found[key] for key in sorted(found)]


def row(one: Record) -> list[str]:
    """Return the cells below `HEAD`: bytes for a parameter of the model, in the rank that keeps most."""
    setup, states = one.setup, one.states
    assert states is not None and setup.stage is not None
    formula = sum(paper(setup.stage, setup.ranks, setup.parameters).values())
    kept = [states.parameters_bytes, states.gradients_bytes, states.master_bytes, states.moments_bytes]
    return [
        str(setup.ranks),
        f"{setup.stage}" + ", offloaded" * setup.offload,
        *(f"{nbytes / setup.parameters:.3f}" for nbytes in (*kept, states.total, formula)),
        in_percent(states.total / formula - 1),
        in_bytes(states.buffers_bytes),
    ]
