"""Will it fit? What was predicted for a model, a technique and a load, held against a GPU. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flask import Blueprint, render_template, request, url_for
from flask_babel import gettext as _

from memlab.fit import GPU_SIZES, Fit, Ranks
from memlab.record import KINDS, Record
from steelyard.evidence import Group, Records
from steelyard.remember import remembered
from steelyard.web.app.languages import language
from steelyard.web.app.state import state
from steelyard.web.evidence.charts.draw import Chart
from steelyard.web.evidence.charts.load import load_chart
from steelyard.web.evidence.labels import labels
from steelyard.web.planner.accuracy import Table, Trust, tables, trust
from steelyard.web.planner.grid import Cell, Load, Shape, arm_key, gigabytes, shapes
from steelyard.web.text import numbers
from steelyard.web.text.vocabulary import kind_words

bp = Blueprint("plan", __name__)

for helper in (numbers.gib, numbers.gib_left):
    bp.add_app_template_global(helper)

USUAL = {"model": "llama-3.1-8b", "technique": "qlora-mixed-r16", "gpu": "24"}
"""What somebody sees who has not chosen yet, where the grid has it."""

SIZES = {str(gigabytes(size)): size for size in GPU_SIZES}

LEAST_SHARE = 0.005
"""Of the peak, for a kind of memory to be explained."""


@dataclass(frozen=True)
class Held:
    """The prediction for a technique under a load, held against a GPU."""

    arm: str
    load: Load
    gpu: str
    cell: Cell | None
    fit: Fit | None


@dataclass(frozen=True)
class Line:
    """A technique in a table: under several loads, or on several GPUs."""

    label: str
    cells: tuple[Held, ...]
    trust: Trust | None


@dataclass(frozen=True)
class Plan:
    """All that the page says about a choice."""

    shape: Shape
    labels: Mapping[str, str]
    """What each technique is called."""
    held: Held
    chart: Chart | None
    reasons: tuple[tuple[str, str], ...]
    """What is alive at the peak, the most first: how much of what, and why it is there."""
    trust: Trust | None
    by_load: tuple[Line, ...]
    """Every technique under every load on this GPU, those first that take the most tokens."""
    by_gpu: tuple[Line, ...]
    """Every technique under this load on every GPU."""
    shared: tuple[tuple[str, Ranks | None], ...]
    """How many GPUs would do it with weights in four bits under ZeRO-3, the fewest first."""
    tables: tuple[Table, ...]
    """How far predictions lay from measurements."""


@bp.get("/plan")
def show() -> str:
    """Answer one choice. What is asked for in vain is answered by the usual, or by the first there is."""
    records = state().records
    offered = {shape.name: shape for shape in shapes(records)}
    if not offered:
        return render_template("plan/show.html", plan=None)
    shape = offered[_chosen("model", offered)]
    batches = sorted({load.batch for one in offered.values() for load in one.loads})
    seqs = sorted({load.seq for one in offered.values() for load in one.loads})
    load = Load(int(_chosen("batch", map(str, batches))), int(_chosen("seq", map(str, seqs))))
    return render_template(
        "plan/show.html",
        plan=_planned(
            records,
            shape.name,
            _chosen("technique", shape.arms),
            load,
            _chosen("gpu", SIZES),
            language(),
        ),
        shapes=offered.values(),
        batches=batches,
        seqs=seqs,
        sizes=SIZES,
    )


def _chosen(name: str, offered: Iterable[str]) -> str:
    """Return what the address asks for, else the usual, else the first: whatever of these is offered."""
    there = tuple(offered)
    return next(
        value
        for value in (request.args.get(name), USUAL.get(name), there[0])
        if value is not None and value in there
    )


@remembered(32)
def _planned(records: Records, model: str, arm: str, load: Load, gpu: str, language: str) -> Plan:
    (shape,) = (shape for shape in shapes(records) if shape.name == model)
    validations = records.validations
    names = shape.labels()
    trusted = {key: trust(group.first, validations) for key, group in shape.arms.items()}

    def held(arm: str, load: Load, gpu: str) -> Held:
        cell = shape.cells.get((arm, load))
        return Held(arm, load, gpu, cell, cell.fit(SIZES[gpu]) if cell else None)

    ranked = shape.ranked(SIZES[gpu])
    one = held(arm, load, gpu)
    record = one.cell.record if one.cell else None
    return Plan(
        shape,
        names,
        one,
        _chart(record, one.fit, gpu),
        _reasons(record),
        trusted[arm],
        tuple(
            Line(names[key], tuple(held(key, load, gpu) for load in shape.loads), trusted[key])
            for key in ranked
        ),
        tuple(
            Line(names[key], tuple(held(key, load, size) for size in SIZES), trusted[key]) for key in ranked
        ),
        _shared(shape, one, names),
        tables(records, language),
    )


def _chart(record: Record | None, fit: Fit | None, gpu: str) -> Chart | None:
    if record is None or fit is None or record.memory.breakdown_at_peak is None:
        return None
    return load_chart(record.memory.breakdown_at_peak, fit, gpu_words(gpu))


def _shared(shape: Shape, held: Held, names: Mapping[str, str]) -> tuple[tuple[str, Ranks | None], ...]:
    """Return nothing where one GPU is enough."""
    if held.fit is None or held.fit.fits:
        return ()
    found = shape.shared(held.load, SIZES[held.gpu]).items()
    many = 1 + max((ranks.ranks for _arm, ranks in found if ranks), default=0)
    return tuple(
        (names[arm], ranks)
        for arm, ranks in sorted(found, key=lambda item: item[1].ranks if item[1] else many)
    )


def _reasons(record: Record | None) -> tuple[tuple[str, str], ...]:
    parts = record.memory.breakdown_at_peak if record else None
    if parts is None or not parts.total:
        return ()
    found = sorted(((getattr(parts, kind), kind) for kind in KINDS), reverse=True)
    return tuple(
        (
            _(
                "%(kind)s: %(size)s, %(share)s",
                kind=kind_words(kind),
                size=numbers.size(value),
                share=numbers.percent(value / parts.total),
            ),
            reason_of(kind),
        )
        for value, kind in found
        if value / parts.total >= LEAST_SHARE
    )


def reason_of(kind: str) -> str:
    """Return why there are live bytes of a kind, and what they depend on."""
    match kind:
        case "weights":
            return _(
                "Every parameter of the base model in the type in which it is stored, whatever the batch and "
                "the sequence."
            )
        case "adapters":
            return _("The thin matrices beside the frozen ones: the only weights that are trained.")
        case "gradients":
            return _("A number for each trained parameter, from the backward pass to the optimizer's step.")
        case "optimizer":
            return _("AdamW's two moments for each trained parameter.")
        case "activations":
            return _(
                "What the forward pass keeps for the backward pass. They grow with batch and sequence; "
                "checkpointing keeps those between two blocks and computes the others again."
            )
        case "temporaries":
            return _(
                "What operators need for a moment, such as the logits and their gradient. They grow with "
                "batch and sequence, and the logits with the vocabulary."
            )
    return _("Copies of the weights that autocast makes in bf16, the workspace of cuBLAS, and the tokens.")


# ---- what somebody asked for on this machine -------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A prediction that is not in the grid, held against every GPU."""

    label: str
    cell: Cell
    held: tuple[Held, ...]
    chart: Chart | None
    """Against the smallest GPU on which it fits, else the largest there is."""
    reasons: tuple[tuple[str, str], ...]


def asked(records: Mapping[str, Record]) -> list[Asked]:
    """Return what these records of one model and load predict, by their names."""
    cells = [Cell(name, record) for name, record in records.items() if record.setup.rank_index is None]
    groups = tuple(Group({0: (cell.id, cell.record)}) for cell in cells)
    return [_asked(label, cell) for label, cell in zip(labels(groups), cells, strict=True)]


def _asked(label: str, cell: Cell) -> Asked:
    record = cell.record
    load = Load(record.setup.batch, record.setup.seq)
    held = tuple(Held(arm_key(record), load, gpu, cell, cell.fit(size)) for gpu, size in SIZES.items())
    best = next((one for one in held if one.fit and one.fit.fits), held[-1])
    return Asked(label, cell, held, _chart(record, best.fit, best.gpu), _reasons(record))


# ---- what the template asks ------------------------------------------------------------------------------


@bp.app_template_global()
def shape_choices(offered: Iterable[Shape]) -> list[tuple[str, str]]:
    """Return the models with the numbers of their parameters."""
    return [(shape.name, f"{shape.name} · {numbers.short(shape.parameters)}") for shape in offered]


@bp.app_template_global()
def gpu_choices(sizes: Iterable[str]) -> list[tuple[str, str]]:
    return [(gpu, gpu_words(gpu)) for gpu in sizes]


@bp.app_template_global()
def counted(values: Iterable[int]) -> list[tuple[int, str]]:
    """Return numbers to choose from, as people read them."""
    return [(value, numbers.count(value)) for value in values]


@bp.app_template_global()
def plan_url(shape: Shape, held: Held) -> str:
    """Return the address of another choice."""
    chosen = {"model": shape.name, "technique": held.arm, **held.load._asdict(), "gpu": held.gpu}
    return url_for("plan.show", **chosen)


@bp.app_template_global()
def gpu_words(gpu: str) -> str:
    """Return a GPU by the size in which it is sold, of which GB are of 1024 MiB."""
    return f"{gpu}{numbers.NBSP}GB"


@bp.app_template_global()
def load_words(load: Load) -> str:
    """Return what goes through the model in one step."""
    return _("batch %(batch)s, %(seq)s tokens", batch=load.batch, seq=numbers.count(load.seq))


@bp.app_template_global()
def fit_state(fit: Fit) -> str:
    """Return the class of an answer."""
    return "yes" if fit.fits else "tight" if fit.tight else "no"


@bp.app_template_global()
def fit_words(fit: Fit) -> str:
    """Return an answer in one or two words."""
    match fit_state(fit):
        case "yes":
            return _("fits")
        case "tight":
            return _("tight")
    return _("does not fit")


@bp.app_template_global()
def margin_words(fit: Fit) -> str:
    """Return by how much it fits, or does not."""
    size = numbers.size(abs(fit.margin_bytes))
    return _("%(size)s to spare", size=size) if fit.fits else _("%(size)s short", size=size)


@bp.app_template_global()
def error_words(trust: Trust | None) -> str:
    """Return how far predictions of a technique lay from measurements, for a cell of a table."""
    if trust is None:
        return _("not measured yet")
    return _(
        "%(median)s (%(worst)s), %(device)s",
        median=numbers.error(trust.summary.median),
        worst=numbers.deviation(trust.summary.worst),
        device="GPU" if trust.on_gpu else "CPU",
    )


@bp.app_template_global()
def trust_words(trust: Trust | None) -> str:
    """Return how far predictions of a technique lay from measurements, and on what these were made."""
    if trust is None:
        return _("not measured yet")
    found = trust.summary
    words = {
        "n": found.n,
        "median": numbers.error(found.median),
        "worst": numbers.deviation(found.worst),
    }
    if trust.on_gpu:
        return _("%(median)s in the median of %(n)s runs on a GPU, at worst %(worst)s", **words)
    return _(
        "%(median)s in the median of %(n)s runs on a CPU, at worst %(worst)s; "
        "the allocator's share has not been measured yet",
        **words,
    )
