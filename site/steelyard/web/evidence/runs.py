"""One page per record, the record itself, and the schema of all of them."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, abort, render_template

from memlab.results.record import Record, States, schema
from memlab.results.zero_formulas import kept
from steelyard.evidence import Group, replay
from steelyard.web.app.state import state
from steelyard.web.evidence.charts.curves import Curve, curves_chart
from steelyard.web.evidence.charts.draw import ChartArm
from steelyard.web.evidence.charts.memory import peak_chart, timeline_chart
from steelyard.web.evidence.charts.ranks import STATES, formula_bytes, state_words
from steelyard.web.evidence.labels import arm_words, rank_words
from steelyard.web.text.numbers import per_parameter, size
from steelyard.web.text.technique_texts import title

bp = Blueprint("runs", __name__)


@bp.get("/runs/<path:run_id>")
def show(run_id: str) -> str | Response | tuple[str, int]:
    """Show one record whole; with `.json` after its id, send it as it was written."""
    if run_id.endswith(".json"):
        return _json(_record(run_id.removesuffix(".json")).to_text())
    problems = [problem for problem in state().records.problems if problem.path == f"{run_id}.json"]
    if problems and not state().settings.public:
        return render_template("runs/broken.html", id=run_id, problems=problems), 503
    record = _record(run_id)
    arms = [ChartArm(title(record.technique), record)]
    curve = Curve(title(record.technique), Group({record.setup.seed: (run_id, record)}))
    long = record.setup.shows_learning and curve.points
    return render_template(
        "runs/show.html",
        id=run_id,
        record=record,
        command=replay(run_id, record),
        peak=peak_chart(arms, "peak-"),
        timeline=timeline_chart(arms, "step-"),
        curve=curves_chart([curve], "curve-") if long else None,
        arm=arm_words(record.setup),
        states=_states(run_id, record),
        technique_title=title(record.technique),
    )


@dataclass(frozen=True)
class RankStates:
    """What one rank of a run keeps."""

    run: str
    rank: str | None
    """Which rank; None for the record of all, whose figures are those of the heaviest."""
    cells: tuple[str, ...]
    """Bytes for each parameter, by kind and together; and the bytes of the buffers."""
    peak_bytes: int | None


@dataclass(frozen=True)
class StatesTable:
    """The model states of a run on several ranks."""

    columns: tuple[str, ...]
    paper: str | None
    """What the paper's formula gives for each parameter; None for a run without a stage."""
    rows: tuple[RankStates, ...]


def _states(run_id: str, record: Record) -> StatesTable | None:
    if record.states is None:
        return None
    setup = record.setup
    return StatesTable(
        tuple(map(state_words, STATES)),
        None if setup.stage is None else per_parameter(formula_bytes(setup.stage, setup.ranks)),
        tuple(
            RankStates(run, rank_words(other.setup), _state_cells(other, states), other.memory.peak_bytes)
            for run, other in _ranks(record) or [(run_id, record)]
            if (states := other.states)
        ),
    )


def _state_cells(record: Record, states: States) -> tuple[str, ...]:
    parts = kept(record)
    return (
        *(per_parameter(parts[kind]) for kind in STATES),
        per_parameter(sum(parts.values())),
        size(states.buffers_bytes),
    )


@bp.get("/results.schema.json")
def results_schema() -> Response:
    """Send the JSON schema that every record obeys."""
    return _json(schema())


def _record(run_id: str) -> Record:
    records = state().records
    record = records.by_id.get(run_id) or records.predictions.get(run_id)
    if record is None:
        abort(404)
    return record


def _ranks(record: Record) -> list[tuple[str, Record]]:
    """Return the records of one run on several ranks: that of all of them, and then those of single ranks."""
    if record.setup.ranks == 1:
        return []
    records = [
        (run_id, other)
        for run_id, other in state().records.by_id.items()
        if (other.technique, other.device) == (record.technique, record.device)
        and other.setup.model_copy(update={"rank_index": record.setup.rank_index}) == record.setup
    ]

    def place(run: tuple[str, Record]) -> int:
        index = run[1].setup.rank_index
        return -1 if index is None else index

    return sorted(records, key=place)


def _json(text: str) -> Response:
    return Response(text, mimetype="application/json")
