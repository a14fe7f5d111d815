"""Model states per rank by ZeRO's formulas, and the records that stand beside them. No torch.

Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", arXiv 1910.02054,
section 5: with Ψ parameters and N ranks, a rank keeps 16 Ψ bytes without sharding, 4 Ψ + 12 Ψ / N in stage 1,
2 Ψ + 14 Ψ / N in stage 2 and 16 Ψ / N in stage 3.
"""

from __future__ import annotations

from collections.abc import Iterable

from memlab.results.record import Record

KINDS = {"parameters": (2, 3), "gradients": (2, 2), "master": (4, 1), "moments": (8, 1)}
"""Bytes of each kind for a parameter, and the stage from which on they are shared out among the ranks."""


def paper(stage: int, ranks: int, parameters: int) -> dict[str, float]:
    """Return the bytes of each kind that a rank keeps by the paper's formulas."""
    return {
        kind: nbytes * parameters / (ranks if stage >= first else 1)
        for kind, (nbytes, first) in KINDS.items()
    }


def kept(record: Record) -> dict[str, float]:
    """Return the bytes of each kind that the rank of a record keeps, for each parameter of the model.

    The record has states. In this order they add up to `record.states.total` by the parameters.
    """
    assert record.states is not None
    return {kind: getattr(record.states, f"{kind}_bytes") / record.setup.parameters for kind in KINDS}


def sharded(records: Iterable[Record]) -> list[Record]:
    """Return the finished runs that have states, in the order of ranks and stage; the last of equal ones."""
    found = {
        (one.setup.ranks, one.setup.stage, one.setup.offload): one
        for one in records
        if one.states is not None and one.setup.rank_index is None and one.status == "ok"
    }
    return [found[key] for key in sorted(found)]
