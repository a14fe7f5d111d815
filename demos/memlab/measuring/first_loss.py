"""The held-out loss before training, computed once for all that it depends on: it is the same number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from memlab.options.setup import BUNDLED
from memlab.results.provenance import versions
from memlab.results.record import Device, Setup
from memlab.training import cache
from memlab.training.model import BUNDLED_SHA256

_TRAINING = frozenset({"steps", "warmup", "lr", "optimizer", "data_sha256", "step", "parameters"})
"""Fields of a setup that no loss before training depends on, or that the model's hash stands for."""


def of(
    setup: Setup, technique: str, held_out: list[list[int]], device: Device, compute: Callable[[], float]
) -> float:
    """Return what `compute` gives, in nats a token, from the cache where the same was computed before.

    `held_out` has the token ids of each sequence. A model is the same where its weights are known to be: the
    bundled one. Without adapters it computes the same for every technique and seed. Ranks always compute,
    since they do so together.
    """
    if setup.model != BUNDLED or setup.ranks > 1:
        return compute()
    fields = setup.model_dump(mode="json", exclude=set(_TRAINING))
    if setup.adapter_dtype is None:
        fields |= {"seed": 0}
        technique = ""
    depends = [BUNDLED_SHA256, technique, fields, held_out, device.model_dump(mode="json"), versions()]
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()

    def fill(folder: Path) -> None:
        (folder / "loss.json").write_text(json.dumps(compute()), encoding="utf-8")

    folder = cache.folder(f"first-loss-{digest[:16]}", fill)
    loss: float = json.loads((folder / "loss.json").read_text(encoding="utf-8"))
    return loss
