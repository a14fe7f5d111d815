"""A folder of records as the lab publishes it: memory and time, quality over seeds and rates, ZeRO over ranks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memlab.results.record import STEPS, Record, Speed, Spread, States
from records import make_record

PARAMETERS = 1000
QUALITY: dict[str, Any] = {"batch": 8, "seq": 48, "steps": 60}
SHARDED: dict[str, Any] = {"batch": 1, "seq": 128, "parameters": PARAMETERS}
PRECISIONS: tuple[dict[str, Any], ...] = (
    {"precision": "mixed", "autocast": "bfloat16"},
    {"precision": "bf16", "autocast": None},
)


def publish(folder: Path) -> None:
    """Write all of these records below `folder`."""
    for record in (*memory(), *quality(), *sharded()):
        record.write(folder / "cpu")


def memory() -> Iterator[Record]:
    """Yield runs of ten steps: every technique, and the steps of the stack, of which the last cannot be made."""
    peaks = {"baseline": 10_000, "gradient_checkpointing": 7_000, "lora": 6_500, "qlora": 5_000}
    for both in PRECISIONS:
        for technique, peak in peaks.items():
            bare = {"rank": None, "alpha": None, "adapter_dtype": None}
            own = bare if technique == "gradient_checkpointing" else {}
            yield make_record(technique, peak=peak, **own, **both)
        for init in ("pissa", "pissa_niter_4"):
            yield make_record("pissa", peak=6_600, init=init, **both)
        for rank in (8, 16):
            yield make_record("dora", peak=8_000 + rank, rank=rank, alpha=float(rank), **both)
    for number, step in enumerate(STEPS):
        last = step == STEPS[-1]
        yield make_record(
            "stack",
            peak=None if last else 6_000 - 1_000 * number,
            status="not_applicable" if last else "ok",
            step=step,
            **PRECISIONS[1],
        )


def quality() -> Iterator[Record]:
    """Yield learning runs: three seeds at the rate that suits each technique, one at another."""
    for technique, own, final in (
        ("baseline", {}, 2.0),
        ("lora", {}, 2.2),
        ("pissa", {"init": "pissa"}, 2.1),
        ("dora", {"rank": 16}, 2.3),
        ("dora", {"rank": 8, "alpha": 8.0}, 2.4),
    ):
        for seed in range(3):
            yield learned(make_record(technique, seed=seed, lr=1e-3, **QUALITY, **own), final + seed / 100)
        yield learned(make_record(technique, lr=3e-4, **QUALITY, **own), final + 0.5)


def learned(record: Record, final: float) -> Record:
    """Return the record with losses that fall from 4 to `final` in a straight line, and then stay there."""
    steps = record.setup.steps + record.setup.warmup
    losses = [4 + (final - 4) * min(1.0, 2 * step / steps) for step in range(steps)]
    assert record.learning is not None
    learning = record.learning.model_copy(update={"losses": losses, "eval_loss_after": final + 0.1})
    return record.model_copy(update={"learning": learning})


def sharded() -> Iterator[Record]:
    """Yield ZeRO's stages on 1, 2 and 4 ranks, the records of single ranks beside that of all."""
    for ranks in (1, 2, 4):
        for stage in range(4):
            for index in (None, *(range(ranks) if ranks > 1 else ())):
                yield shard(stage, ranks, index)


def shard(stage: int, ranks: int, index: int | None = None, gradients: int = 0) -> Record:
    """Return a run that keeps what the paper's formulas say, and some bytes of gradients more."""
    bare = {"rank": None, "alpha": None, "adapter_dtype": None, "base_dtype": "bfloat16"}
    record = make_record(
        "zero", peak=20_000 - stage * ranks, stage=stage, ranks=ranks, rank_index=index, **SHARDED, **bare
    )
    return record.model_copy(
        update={
            "states": States(
                parameters_bytes=2 * PARAMETERS // (ranks if stage > 2 else 1),
                gradients_bytes=2 * PARAMETERS // (ranks if stage > 1 else 1) + gradients,
                master_bytes=4 * PARAMETERS // (ranks if stage > 0 else 1),
                moments_bytes=8 * PARAMETERS // (ranks if stage > 0 else 1),
                buffers_bytes=512,
                host_bytes=0,
            )
        }
    )


def timed(record: Record, median: float, low: float, high: float) -> Record:
    """Return the record with other seconds of a step."""
    spread = Spread(median=median, min=low, max=high)
    return record.model_copy(update={"speed": Speed(step_seconds=spread, tokens_per_second=1.0)})
