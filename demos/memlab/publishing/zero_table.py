"""The table of model states per rank: what `zero.py` measured beside the paper's formulas. No torch."""

from __future__ import annotations

from memlab.results.numbers import in_bytes, in_percent
from memlab.results.record import Record
from memlab.results.zero_formulas import KINDS, kept, paper

HEAD = ("ranks", "stage", *KINDS, "together", "the paper", "off by", "buffers, apart")


LEGEND = (
    "The paper: 16 without sharding, 4 + 12/N in stage 1, 2 + 14/N in stage 2, 16/N in stage 3. Each row is "
    "of the rank that keeps most. Buffers come on top in every stage, and activations are never sharded."
)


def row(one: Record) -> list[str]:
    """Return the cells below `HEAD`: bytes for a parameter of the model, in the rank that keeps most."""
    setup, states = one.setup, one.states
    assert states is not None and setup.stage is not None
    formula = sum(paper(setup.stage, setup.ranks, setup.parameters).values())
    return [
        str(setup.ranks),
        f"{setup.stage}" + ", offloaded" * setup.offload,
        *(f"{nbytes:.3f}" for nbytes in kept(one).values()),
        *(f"{nbytes / setup.parameters:.3f}" for nbytes in (states.total, formula)),
        in_percent(states.total / formula - 1),
        in_bytes(states.buffers_bytes),
    ]
