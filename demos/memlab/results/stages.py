"""What a run does, stage by stage: the names in its messages, and how people are told. No torch."""

from __future__ import annotations

STAGES = {
    "load": "loading",
    "evaluate": "evaluating on held-out text",
    "train": "training, the clean pass",
    "ledger": "one step under the ledger",
    "predict": "one step without memory",
}
