"""The words for verdicts, for the ways in which a figure was obtained, and for what a record holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext

from flask_babel import force_locale, gettext

from memlab.results.record import Device, Setup
from steelyard.claims import Verdict
from steelyard.evidence import GPUS, Reason
from steelyard.web.text import numbers


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


def change_words(saving: float) -> str:
    """Return a saving as a change that needs no sign to be understood."""
    if saving < 0:
        return gettext("%(percent)s more", percent=numbers.percent(-saving))
    return gettext("%(percent)s less", percent=numbers.percent(saving))


def device_words(device: Device) -> str:
    """Return how and where a record came about."""
    name = device.name
    if device.bf16_kernel is not None:
        name = f"{name}, {kernel_words(device.bf16_kernel)}"
    return how_words({"cuda": "gpu", "cpu": "cpu", "fake": "predicted"}[device.kind], name)


def kernel_words(kernel: str) -> str:
    """Return what multiplied bf16 matrices on a CPU (`memlab.training.bf16_kernels`)."""
    words = {
        "bf16 by PyTorch": gettext("bf16 by PyTorch"),
        "bf16 through fp32": gettext("bf16 through fp32"),
    }
    return words.get(kernel, kernel)


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
    """Return what a live byte is, one of `memlab.results.record.KINDS`."""
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


def rate_words(rate: float) -> str:
    """Return a learning rate: `3e-4`."""
    return f"{rate:.1e}".replace(".0e", "e").replace("e-0", "e-").replace("e+00", "")


def step_words(step: str) -> str:
    """Return what a step of the stack adds, one of `memlab.results.record.STEPS`."""
    match step:
        case "checkpointing":
            return gettext("checkpointing")
        case "lora":
            return gettext("LoRA")
        case "qlora":
            return gettext("4-bit weights")
        case "8bit_adamw":
            return gettext("8-bit AdamW")
        case "chunked_loss":
            return gettext("chunked loss")
    return gettext("activation offload")


def selection_words(selection: Mapping[str, object], name: str, other: Mapping[str, object]) -> str:
    """Return a side of a test: the technique's `name`, and what it asks for that the other side does not."""
    fields = [field for field in selection if field != "technique" and other.get(field) != selection[field]]
    own = [words for field in fields if (words := _field_words(field, selection[field]))]
    if not own:
        return name
    return gettext("%(technique)s (%(fields)s)", technique=name, fields=", ".join(own))


def _field_words(field: str, value: object) -> str | None:
    """Return what a test asks for; None for fields shown elsewhere (mode, batch, seq, precision)."""
    if field == "precision" or value is None or value is False:
        return None
    match field:
        case "mode" | "batch" | "seq":  # the kind of evidence and the work stand beside it
            return None
        case "step":
            return gettext("up to %(step)s", step=step_words(str(value)))
        case "stage":
            return gettext("stage %(stage)s", stage=value)
        case "ranks":
            return gettext("%(ranks)s ranks", ranks=value)
        case "rank":
            return gettext("rank %(rank)s", rank=value)
        case "lr":
            return gettext("rate %(rate)s", rate=rate_words(float(str(value))))
        case "offload":
            return gettext("offloaded")
        case "init":
            return gettext("exact SVD") if value == "pissa" else gettext("approximate SVD")
        case "model":
            return str(value)
    return f"{field} {value}"


def reason_words(reason: Reason, title: Callable[[object], str]) -> str:
    """Return why a test decides nothing, or decides otherwise than its figure seems to.

    `title` says what a technique is called.
    """
    values = {name: _value_words(value, title) for name, value in reason.values.items()}
    match reason.code:
        case "arithmetic":
            return gettext("this arithmetic has no result")
        case "unknown-field":
            return gettext("no record has a field %(names)s", **values)
        case "unknown-metric":
            return gettext("no record has a number %(metric)s", **values)
        case "paired-metric":
            return gettext("%(metric)s is a number of two runs: say against what", **values)
        case "no-record":
            return gettext("no record of %(selection)s yet", **values)
        case "too-short":
            return gettext("no record of %(selection)s with %(steps)s steps or more yet", **values)
        case "not-comparable":
            return gettext("nothing to compare with: the closest runs differ in %(differences)s", **values)
        case "too-few-runs":
            return gettext("%(made)s of the %(asked)s repeats asked for were made", **values)
        case "too-few-pairs":
            return gettext("%(made)s of the %(asked)s repeats asked for are on both sides", **values)
        case "not-measured":
            return gettext("not measured: %(metric)s", **values)
        case "not-measured-twice":
            return gettext("not measured on both sides: %(metric)s", **values)
        case "not-reached":
            return gettext(
                "%(missed)s of %(all)s runs never came to that loss, so only a bound is known", **values
            )
        case "noisy":
            return gettext("the repeats lie too far apart to say that there is no difference to speak of")
    return gettext("different setups give different answers")


def _value_words(value: object, title: Callable[[object], str]) -> str:
    if isinstance(value, Mapping):
        technique = title(value.get("technique"))
        fields = ", ".join(f"{name} {wanted}" for name, wanted in value.items() if name != "technique")
        return (
            gettext("%(technique)s (%(fields)s)", technique=technique, fields=fields) if fields else technique
        )
    if isinstance(value, tuple):
        return ", ".join(
            gettext("%(field)s (%(of)s and %(against)s)", field=d.field, of=d.of, against=d.against)
            for d in value
        )
    return metric_words(str(value))


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
        case "states.total":
            return gettext("model states of a rank")
        case "states.parameters_bytes":
            return gettext("weights of a rank")
        case _ if metric in GPUS:
            return gettext(
                "GPUs of %(gpu)s GB at least, with the weights shared out under ZeRO-3",
                gpu=metric.partition(".")[2],
            )
        case "steps_to_loss":
            return gettext("steps to the loss at which the other ended")
        case "loss_at_equal_seconds":
            return gettext("training loss after equal time")
    return metric


def formatter(metric: str) -> Callable[[float], str]:
    """Return what writes a metric's values, with their unit."""
    parts = metric.split(".")
    if parts[-1].endswith("_bytes") or "breakdown_at_peak" in parts or metric == "states.total":
        return numbers.size
    if "loss" in metric and metric != "steps_to_loss":
        return numbers.loss
    if any(part.endswith("_seconds") for part in parts):
        return numbers.seconds
    if parts[-1].endswith("_parameters") or metric == "steps_to_loss" or metric in GPUS:
        return numbers.count
    return numbers.plain
