"""The words for verdicts, for the ways in which a figure was obtained, and for what a record holds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from flask_babel import force_locale, gettext

from memlab.record import Device, Setup
from steelyard.bank.model import Verdict
from steelyard.web import numbers


def verdict_words(verdict: Verdict, only_for: str | None, lang: str | None = None) -> str:
    """Return what stands beside a claim, in the language of the text around it, else in the page's."""
    with force_locale(lang) if lang else nullcontext():
        match verdict:
            case "holds":
                return gettext("holds")
            case "does-not-hold":
                return gettext("does not hold")
            case "holds-only-for":
                return gettext("holds only for %(what)s", what=only_for or gettext("some cases"))
            case "open":
                return gettext("not measured yet")


def how_words(kind: str | None, device: str | None) -> str:
    """Return how a figure was obtained; a CPU's is never worded as a GPU's."""
    match kind:
        case "gpu":
            return gettext("measured on a GPU: %(device)s", device=device)
        case "cpu":
            return gettext("measured on a CPU: %(device)s", device=device)
        case "predicted":
            return gettext("predicted, without running on any hardware")
        case "computed":
            return gettext("computed")
        case "cited":
            return gettext("cited")
    return gettext("not measured yet")


def device_words(device: Device) -> str:
    """Return how and where a record came about."""
    return how_words({"cuda": "gpu", "cpu": "cpu", "fake": "predicted"}[device.kind], device.name)


def precision_words(setup: Setup) -> str:
    """Return a run's precision, by its weights; that of full fine-tuning stands beside every saving."""
    weights = setup.base_dtype
    for name, short in (("float32", "fp32"), ("bfloat16", "bf16"), (", linear layers ", "/")):
        weights = weights.replace(name, short)
    if setup.autocast:
        return gettext("mixed precision (%(weights)s weights, bf16 autocast)", weights=weights)
    if weights == "bf16":
        return gettext("pure bf16")
    return gettext("%(weights)s weights, no autocast", weights=weights)


def work_words(setup: Setup) -> str:
    """Return the work that was done: model, batch, sequence."""
    return gettext(
        "%(model)s, batch %(batch)s, %(seq)s tokens", model=setup.model, batch=setup.batch, seq=setup.seq
    )


def phase_words(phase: str) -> str:
    """Return the phase of a step in which the peak came."""
    match phase:
        case "load":
            return gettext("while loading")
        case "forward":
            return gettext("in the forward pass")
        case "backward":
            return gettext("in the backward pass")
    return gettext("in the optimizer step")


def kind_words(kind: str) -> str:
    """Return what a live byte is, one of `memlab.record.KINDS`."""
    match kind:
        case "weights":
            return gettext("weights")
        case "adapters":
            return gettext("adapters")
        case "gradients":
            return gettext("gradients")
        case "optimizer":
            return gettext("optimizer state")
        case "activations":
            return gettext("activations")
        case "temporaries":
            return gettext("temporaries")
    return gettext("other")


def metric_words(metric: str) -> str:
    """Return what a metric measures; one without words of its own is called by its path in the record."""
    match metric:
        case "memory.peak_bytes":
            return gettext("peak memory")
        case "memory.static_bytes":
            return gettext("memory between two steps")
        case "memory.load_peak_bytes":
            return gettext("peak while loading")
        case "memory.reserved_bytes":
            return gettext("memory reserved by the allocator")
        case "memory.process_bytes":
            return gettext("memory of the process")
        case "memory.ledger_peak_bytes":
            return gettext("peak by the ledger")
        case "memory.breakdown_at_peak.weights":
            return gettext("weights at the peak")
        case "memory.breakdown_at_peak.adapters":
            return gettext("adapters at the peak")
        case "memory.breakdown_at_peak.gradients":
            return gettext("gradients at the peak")
        case "memory.breakdown_at_peak.optimizer":
            return gettext("optimizer state at the peak")
        case "memory.breakdown_at_peak.activations":
            return gettext("activations at the peak")
        case "memory.breakdown_at_peak.temporaries":
            return gettext("temporaries at the peak")
        case "speed.step_seconds.median":
            return gettext("time per step")
        case "speed.tokens_per_second":
            return gettext("tokens per second")
        case "learning.trainable_parameters":
            return gettext("trainable parameters")
        case "learning.total_parameters":
            return gettext("parameters in all")
        case "learning.eval_loss_before":
            return gettext("held-out loss before")
        case "learning.eval_loss_after":
            return gettext("held-out loss after")
    return metric


def formatter(metric: str) -> Callable[[float], str]:
    """Return what writes a metric's values, with their unit."""
    parts = metric.split(".")
    if parts[-1].endswith("_bytes") or "breakdown_at_peak" in parts:
        return numbers.size
    if any(part.endswith("_seconds") for part in parts):
        return numbers.seconds
    if parts[-1].endswith("_parameters"):
        return numbers.count
    if "loss" in parts[-1]:
        return numbers.loss
    return numbers.plain
