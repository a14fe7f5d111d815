"""Show records: a table for the terminal and a picture."""

from __future__ import annotations
from pathlib import Path
from memlab import record


def read_folder(folder):
    return []


def show(records, *, theirs, others):
    for r in records:
        print(
            r.technique,
            r.status,
            r.message,
            r.memory.peak_bytes,
            r.memory.peak_phase,
            r.memory.breakdown_at_peak,
            r.speed.step_seconds,
            r.learning
            and (
                r.learning.trainable_parameters,
                r.learning.losses,
                r.learning.eval_loss_before,
                r.learning.eval_loss_after,
            ),
        )


def draw(records, folder):
    return []
