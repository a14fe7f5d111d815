"""A grid of predictions as the lab publishes it, and how far they were off: figures that are easy to reckon with."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memlab.results.accuracy import Row, Validation
from memlab.results.files import write_predictions
from memlab.results.gpu_fit import GIB
from memlab.results.record import Breakdown, Device, Memory, Origin, Record
from records import make_record

SMALL, LARGE = "smollm2-135m", "gpt-3-175b"
MODELS = {SMALL: 134_515_008, LARGE: 174_604_259_328}
BATCHES, SEQS = (1, 4), (512, 2048)
FAILED = "cannot be predicted: it computes by its numbers, and has none (aten.nonzero)"


def publish(folder: Path) -> None:
    """Write the grid and the validation below `folder`."""
    for model in MODELS:
        write_predictions(folder / "predictions" / f"{model}.jsonl", grid(model))
    validation().write(folder / "validation" / "cpu.json")


def grid(model: str) -> Iterator[Record]:
    """Yield three techniques under each load; of the large model one failed, and another is missing."""
    billions = MODELS[model] // 10**9
    for batch in BATCHES:
        for seq in SEQS:
            tokens = batch * seq // 512
            missing = model == LARGE and (batch, seq) == (4, 2048)
            if not missing:
                yield predicted("baseline", model, batch, seq, weights=16 * billions + 2, activations=tokens)
            yield predicted("lora", model, batch, seq, weights=2 * billions + 1, activations=tokens)
            four_bit = predicted(
                "qlora", model, batch, seq, weights=max(billions * 53 // 100, 1), activations=tokens, **NF4
            )
            yield failed(four_bit) if model == LARGE and seq == 2048 else four_bit


NF4 = {"base_dtype": "nf4 with double quantization, the others bfloat16"}


def predicted(
    technique: str, model: str, batch: int, seq: int, *, weights: int, activations: int, **setup: Any
) -> Record:
    """Return a prediction: GiB of weights and activations, half a GiB of rounding, and a whole of reserve."""
    total = (weights + activations) * GIB
    record = make_record(
        technique, device="fake", model=model, parameters=MODELS[model], batch=batch, seq=seq, **setup
    )
    none = dict.fromkeys(("adapters", "gradients", "optimizer", "temporaries", "other"), 0)
    memory = Memory(
        peak_bytes=total + GIB // 2,
        static_bytes=weights * GIB,
        load_peak_bytes=None,
        reserved_bytes=total + GIB,
        process_bytes=None,
        allocator_retries=None,
        ledger_peak_bytes=total,
        peak_phase="backward",
        breakdown_at_peak=Breakdown(weights=weights * GIB, activations=activations * GIB, **none),
    )
    command = f"python demos/{technique}.py --predict --for cuda --model {model} --batch {batch} --seq {seq}"
    origin = record.origin.model_copy(update={"command": command})
    return record.model_copy(update={"memory": memory, "origin": origin})


def failed(record: Record) -> Record:
    """Return the record of a prediction that could not be made."""
    nothing = {name: None for name in Memory.model_fields if name != "timeline"}
    return record.model_copy(
        update={"status": "failed", "message": FAILED, "memory": Memory(**nothing, timeline=[])}
    )


def validation(kind: str = "cpu") -> Validation:
    """Return a comparison of LoRA and of full fine-tuning: a thousand bytes each, off by 0.2 % and by none."""
    return Validation(
        seed=0,
        device=Device(kind=kind, name="a test's processor", memory_bytes=2**34),
        seconds=1.0,
        origin=Origin(
            command="make validate", commit=None, versions={}, created=datetime(2026, 1, 1, tzinfo=UTC)
        ),
        rows=[row("lora", 998), row("lora", 1000), row("lora", 1002), row("baseline", 1000, deepspeed=600)],
    )


def row(technique: str, predicted: int, deepspeed: int | None = None) -> Row:
    return Row(
        family="llama",
        config={"hidden_size": 64},
        parameters=1000,
        technique=technique,
        precision="mixed",
        batch=1,
        seq=128,
        status="ok",
        measured_bytes=1000,
        profiler_bytes=1000,
        predicted_bytes=predicted,
        accelerate_bytes=250,
        deepspeed_bytes=deepspeed,
        formula_bytes=500,
    )
