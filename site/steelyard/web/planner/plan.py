"""The page /plan: the prediction for a model, a technique and a load, compared with a GPU. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from flask import Blueprint, current_app, render_template, request, url_for
from flask_babel import gettext as _

from memlab.results.gpu_fit import GPU_SIZES, Fit, Ranks
from memlab.results.record import KINDS, Record
from steelyard.evidence import Group, Records
from steelyard.remember import remembered
from steelyard.web.app.languages import language
from steelyard.web.app.state import state
from steelyard.web.evidence.charts.draw import Chart
from steelyard.web.evidence.charts.load import load_chart
from steelyard.web.evidence.labels import labels
from steelyard.web.planner.accuracy import Accuracy, ErrorTable, accuracy_of, error_tables
from steelyard.web.planner.grid import Load, ModelGrid, Prediction, arm_key, gigabytes, model_grids
from steelyard.web.text import numbers
from steelyard.web.text.vocabulary import kind_words

bp = Blueprint("plan", __name__)

ASK_PANEL = "steelyard.ask_panel"
"""The application's extension that says what the page offers for predicting any other model."""

USUAL = {"model": "llama-3.1-8b", "technique": "qlora-mixed-r16", "gpu": "24"}
"""What somebody sees who has not chosen yet, where the grid has it."""

SIZES = {str(gigabytes(size)): size for size in GPU_SIZES}

LEAST_SHARE = 0.005
"""Of the peak, for a kind of memory to be explained."""


@dataclass(frozen=True)
class FitAnswer:
    """The prediction for a technique under a load, compared with a GPU; None where there is no prediction."""

    model: str
    arm: str
    load: Load
    gpu: str
    cell: Prediction | None
    fit: Fit | None

    @property
    def url(self) -> str:
        """The address of this choice."""
        chosen = {"model": self.model, "technique": self.arm, **self.load._asdict(), "gpu": self.gpu}
        return url_for("plan.show", **chosen)

    @property
    def state(self) -> Literal["yes", "tight", "no"]:
        """The class of the answer. Only where there is a prediction."""
        assert self.fit is not None
        return "yes" if self.fit.fits else "tight" if self.fit.tight else "no"

    @property
    def words(self) -> str:
        """The answer in one or two words. Only where there is a prediction."""
        match self.state:
            case "yes":
                return _("fits")
            case "tight":
                return _("tight")
        return _("does not fit")

    @property
    def margin_words(self) -> str:
        """By how much it fits, or does not. Only where there is a prediction."""
        assert self.fit is not None
        size = numbers.size(abs(self.fit.margin_bytes))
        return _("%(size)s to spare", size=size) if self.fit.fits else _("%(size)s short", size=size)

    @property
    def gpu_words(self) -> str:
        return gpu_words(self.gpu)

    @property
    def load_words(self) -> str:
        """What goes through the model in one step."""
        return _("batch %(batch)s, %(seq)s tokens", batch=self.load.batch, seq=numbers.count(self.load.seq))


@dataclass(frozen=True)
class PlanRow:
    """A technique in a table: under several loads, or on several GPUs."""

    label: str
    cells: tuple[FitAnswer, ...]
    accuracy: Accuracy | None

    @property
    def error(self) -> str:
        """How far predictions of the technique lay from measurements, for a cell of a table."""
        if self.accuracy is None:
            return _("not measured yet")
        return _(
            "%(median)s (%(worst)s), %(device)s",
            median=numbers.error(self.accuracy.summary.median),
            worst=numbers.deviation(self.accuracy.summary.worst),
            device="GPU" if self.accuracy.on_gpu else "CPU",
        )


@dataclass(frozen=True)
class Plan:
    """All that the page says about a choice."""

    shape: ModelGrid
    labels: Mapping[str, str]
    """What each technique is called."""
    answer: FitAnswer
    chart: Chart | None
    reasons: tuple[tuple[str, str], ...]
    """What is alive at the peak, the most first: how much of what, and why it is there."""
    accuracy: Accuracy | None
    by_load: tuple[PlanRow, ...]
    """Every technique under every load on this GPU, those first that take the most tokens."""
    by_gpu: tuple[PlanRow, ...]
    """Every technique under this load on every GPU."""
    shared: tuple[tuple[str, Ranks | None], ...]
    """How many GPUs would do it with weights in four bits under ZeRO-3, the fewest first."""
    tables: tuple[ErrorTable, ...]
    """How far predictions lay from measurements."""

    @property
    def accuracy_words(self) -> str:
        """How far predictions of the technique lay from measurements, and on what these were made."""
        if self.accuracy is None:
            return _("not measured yet")
        summary = self.accuracy.summary
        words = {
            "n": summary.n,
            "median": numbers.error(summary.median),
            "worst": numbers.deviation(summary.worst),
        }
        if self.accuracy.on_gpu:
            return _("%(median)s in the median of %(n)s runs on a GPU, at worst %(worst)s", **words)
        return _(
            "%(median)s in the median of %(n)s runs on a CPU, at worst %(worst)s; "
            "the allocator's share has not been measured yet",
            **words,
        )


@bp.get("/plan")
def show() -> str:
    """Answer one choice. Unknown query values fall back to `USUAL`, else to the first option."""
    records = state().records
    offered = {shape.name: shape for shape in model_grids(records)}
    if not offered:
        return render_template("plan/show.html", plan=None, panel=_panel())
    shape = offered[_chosen("model", offered)]
    loads = {load for shape in offered.values() for load in shape.loads}
    batches = sorted({load.batch for load in loads})
    seqs = sorted({load.seq for load in loads})
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
        models=[
            (shape.name, f"{shape.name} · {numbers.short(shape.parameters)}") for shape in offered.values()
        ],
        batches=[(batch, numbers.count(batch)) for batch in batches],
        seqs=[(seq, numbers.count(seq)) for seq in seqs],
        gpus=[(gpu, gpu_words(gpu)) for gpu in SIZES],
        panel=_panel(),
    )


def _panel() -> object:
    extensions = current_app.extensions
    return extensions[ASK_PANEL]() if ASK_PANEL in extensions else None


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
    (shape,) = (shape for shape in model_grids(records) if shape.name == model)
    validations = records.validations
    names = shape.labels()
    trusted = {key: accuracy_of(group.first, validations) for key, group in shape.arms.items()}

    def answer(arm: str, load: Load, gpu: str) -> FitAnswer:
        cell = shape.cells.get((arm, load))
        return FitAnswer(model, arm, load, gpu, cell, cell.fit(SIZES[gpu]) if cell else None)

    ranked = shape.ranked(SIZES[gpu])
    chosen = answer(arm, load, gpu)
    record = chosen.cell.record if chosen.cell else None
    return Plan(
        shape,
        names,
        chosen,
        _chart(record, chosen.fit, gpu),
        _reasons(record),
        trusted[arm],
        tuple(
            PlanRow(names[key], tuple(answer(key, load, gpu) for load in shape.loads), trusted[key])
            for key in ranked
        ),
        tuple(
            PlanRow(names[key], tuple(answer(key, load, size) for size in SIZES), trusted[key])
            for key in ranked
        ),
        _shared(shape, chosen, names),
        error_tables(records, language),
    )


def _chart(record: Record | None, fit: Fit | None, gpu: str) -> Chart | None:
    if record is None or fit is None or record.memory.breakdown_at_peak is None:
        return None
    return load_chart(record.memory.breakdown_at_peak, fit, gpu_words(gpu))


def _shared(
    shape: ModelGrid, answer: FitAnswer, names: Mapping[str, str]
) -> tuple[tuple[str, Ranks | None], ...]:
    """Return nothing where one GPU is enough."""
    if answer.fit is None or answer.fit.fits:
        return ()
    by_arm = shape.shared(answer.load, SIZES[answer.gpu]).items()
    many = 1 + max((ranks.ranks for _arm, ranks in by_arm if ranks), default=0)
    return tuple(
        (names[arm], ranks)
        for arm, ranks in sorted(by_arm, key=lambda item: item[1].ranks if item[1] else many)
    )


def _reasons(record: Record | None) -> tuple[tuple[str, str], ...]:
    parts = record.memory.breakdown_at_peak if record else None
    if parts is None or not parts.total:
        return ()
    kinds = sorted(((getattr(parts, kind), kind) for kind in KINDS), reverse=True)
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
        for value, kind in kinds
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


def gpu_words(gpu: str) -> str:
    """Return a GPU by the size in which it is sold, of which GB are of 1024 MiB."""
    return f"{gpu}{numbers.NBSP}GB"


# ---- what somebody asked for on this machine -------------------------------------------------------------


@dataclass(frozen=True)
class AskedPrediction:
    """A prediction that is not in the grid, compared with every GPU."""

    label: str
    cell: Prediction
    answers: tuple[FitAnswer, ...]
    chart: Chart | None
    """Against the smallest GPU on which it fits, else the largest there is."""
    reasons: tuple[tuple[str, str], ...]


def asked(records: Mapping[str, Record]) -> list[AskedPrediction]:
    """Return what these records of one model and load predict, by their names."""
    cells = [Prediction(name, record) for name, record in records.items() if record.setup.rank_index is None]
    groups = tuple(Group({0: (cell.id, cell.record)}) for cell in cells)
    return [_asked(label, cell) for label, cell in zip(labels(groups), cells, strict=True)]


def _asked(label: str, cell: Prediction) -> AskedPrediction:
    record = cell.record
    load = Load(record.setup.batch, record.setup.seq)
    answers = tuple(
        FitAnswer(record.setup.model, arm_key(record), load, gpu, cell, cell.fit(size))
        for gpu, size in SIZES.items()
    )
    best = next((answer for answer in answers if answer.fit and answer.fit.fits), answers[-1])
    return AskedPrediction(label, cell, answers, _chart(record, best.fit, best.gpu), _reasons(record))
