"""Records for tests: complete, valid, and made of figures that are easy to reckon with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from memlab.results.record import Breakdown, Device, Learning, Memory, Origin, Record, Setup, Speed, Spread

VERSIONS = {"python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"}


def make_record(
    technique: str = "lora",
    *,
    peak: int | None = 750,
    static: int = 400,
    step_seconds: float = 2.0,
    trainable: int = 1000,
    device: str = "cpu",
    device_name: str = "a test's processor",
    versions: dict[str, str | None] | None = None,
    status: str = "ok",
    **setup: Any,
) -> Record:
    """Return a record; what `setup` does not name is what every other record of a test has too."""
    adapter = {} if technique == "baseline" else {"rank": 16, "alpha": 16.0, "adapter_dtype": "float32"}
    fields: dict[str, Any] = {
        "model": "SmolLM2-135M",
        "parameters": 134_515_008,
        "batch": 4,
        "seq": 512,
        "steps": 10,
        "warmup": 3,
        "seed": 0,
        "precision": "mixed",
        "autocast": "bfloat16",
        "base_dtype": "float32"
        if technique == "baseline" and setup.get("precision") != "bf16"
        else "bfloat16",
        "lr": 1e-4 if technique == "baseline" else 1e-3,
        "optimizer": "AdamW(fused)",
        "attention": "sdpa",
        "loss_kernel": "transformers",
        "data_sha256": "0" * 64,
        **adapter,
        **setup,
    }
    predicted = device == "fake"
    parts = {"weights": 300, "adapters": 10, "gradients": 20, "optimizer": 70, "activations": 250}
    known = sum(parts.values())
    total = None if peak is None else max(peak, known)
    return Record(
        technique=technique,
        mode="predicted" if predicted else "measured",
        status=status,
        setup=Setup(**fields),
        device=Device(kind=device, name=device_name, memory_bytes=2**34),
        memory=Memory(
            peak_bytes=peak,
            static_bytes=static,
            load_peak_bytes=500,
            reserved_bytes=None,
            process_bytes=9_000,
            allocator_retries=None,
            ledger_peak_bytes=total,
            peak_phase="backward",
            breakdown_at_peak=None
            if total is None
            else Breakdown(**parts, temporaries=total - known, other=0),
            timeline=[(0.0, 300, 10, 20, 70, 0, 0, 0), (0.5, 300, 10, 20, 70, 250, 0, 0)],
        ),
        speed=Speed(
            step_seconds=Spread(median=step_seconds, min=step_seconds, max=step_seconds),
            tokens_per_second=100.0,
        ),
        learning=Learning(
            trainable_parameters=trainable,
            total_parameters=134_515_008,
            losses=[3.0, 2.5, 2.25],
            eval_loss_before=3.0,
            eval_loss_after=2.0,
        ),
        origin=Origin(
            command=f"python demos/{technique}.py",
            commit=None,
            versions=versions or VERSIONS,
            created=datetime(2026, 1, 1, tzinfo=UTC),
        ),
    )
