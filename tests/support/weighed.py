"""Claims and records for the tests of evidence."""

from __future__ import annotations

from typing import Any

from memlab.results.record import Record
from records import make_record
from steelyard.claims import Claim
from steelyard.evidence import Records

THIRTY_PERCENT: dict[str, Any] = {"of": "lora", "against": "baseline", "take": "saving"}
LOSS: dict[str, Any] = {
    "of": "pissa",
    "against": "lora",
    "take": "difference",
    "metric": "learning.eval_loss_after",
}


def claim(verdict: str, *tests: dict[str, Any], **fields: Any) -> Claim:
    return Claim(id="a-claim", says="A claim.", verdict=verdict, tests=tests, **fields)


def records(*given: Record) -> Records:
    return Records({f"{record.device.kind}/{record.slug}": record for record in given})


def baseline(**fields: Any) -> Record:
    return make_record("baseline", **{"peak": 1000, "static": 800, "step_seconds": 2.0, **fields})


def learner(technique: str, losses: list[float], *, eval_loss: float = 2.0, **fields: Any) -> Record:
    """Return a record of a run with these training losses and this held-out loss at the end."""
    record = make_record(technique, **{"steps": len(losses), "warmup": 0, **fields})
    learning = record.learning.model_copy(update={"losses": losses, "eval_loss_after": eval_loss})
    return record.model_copy(update={"learning": learning})


def falling(by: float, steps: int = 60) -> list[float]:
    return [10 - by * step for step in range(1, steps + 1)]
