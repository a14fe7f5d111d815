"""Numbers in words, the same in every table and picture."""

from __future__ import annotations

import math

from memlab.results.record import Record


def in_bytes(value: float | None) -> str:
    """`3.25 GiB`, `12.5 MiB`, `800 B`; a dash for what was not measured."""
    if value is None:
        return "–"
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= size / 10 and (unit != "KiB" or value >= 1000):
            return f"{value / size:.2f} {unit}" if unit == "GiB" else f"{value / size:.1f} {unit}"
    return f"{value:.0f} B"


def in_seconds(value: float | None) -> str:
    """`2.31 s` or `12.4 ms`."""
    if value is None:
        return "–"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.1f} ms"


def duration(seconds: float) -> str:
    """Return `42 s`, `3 min 20 s` or `1 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return (
        f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"
    )


def in_percent(fraction: float | None) -> str:
    """A signed percentage with one decimal and a true minus sign; beyond tenfold, just that."""
    if fraction is not None and fraction >= 9:
        return "> ×10"
    return "–" if fraction is None else f"{fraction:+.1%}".replace("-", "−").replace("%", " %")


def in_thousands(value: float | None) -> str:
    """A whole number with its thousands set apart."""
    return "–" if value is None else f"{value:,.0f}"


def in_nats(value: float | None) -> str:
    """A loss with three decimals."""
    return "–" if value is None else f"{value:.3f}"


def in_steps(value: float | None) -> str:
    """A number of optimizer steps to a loss; infinity for a loss that was never reached."""
    return "not reached" if value == math.inf else in_thousands(value)


def device_words(one: Record) -> str:
    """Say where the bytes were counted, so that a CPU's number is not taken for a GPU's."""
    if one.device.kind == "cuda":
        return f"Measured on a GPU ({one.device.name}): the allocator's peak."
    if one.device.kind == "fake" and one.memory.reserved_bytes is not None:
        return (
            f"Predicted ({one.device.name}), nothing was trained: what PyTorch's allocator would hold, by a "
            "model of it (memlab/predicting/cuda_allocator.py)."
        )
    if one.device.kind == "fake":
        return (
            f"Predicted ({one.device.name}), nothing was trained: bytes of live tensors. A GPU holds the "
            "same tensors, and adds its allocator's rounding and its kernels' workspace."
        )
    kernel = f", {one.device.bf16_kernel}" if one.device.bf16_kernel else ""
    return (
        f"Measured on a CPU ({one.device.name}{kernel}): bytes of live tensors. A GPU holds the same "
        "tensors, and adds its allocator's rounding and its kernels' workspace."
    )
