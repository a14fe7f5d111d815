"""One page per record, the record itself, and the schema of all of them."""

from __future__ import annotations

from flask import Blueprint, Response, abort, render_template

from memlab.record import Record, schema
from steelyard.evidence import replay
from steelyard.web.cards import title
from steelyard.web.charts.draw import Arm
from steelyard.web.charts.memory import peak_chart, timeline_chart
from steelyard.web.state import state

bp = Blueprint("runs", __name__)


@bp.get("/runs/<path:id>")
def show(id: str) -> str | Response | tuple[str, int]:
    """Show one record whole; with `.json` after its id, send it as it was written."""
    if id.endswith(".json"):
        return _json(_record(id.removesuffix(".json")).to_text())
    problems = [problem for problem in state().records.problems if problem.path == f"{id}.json"]
    if problems and not state().settings.public:
        return render_template("runs/broken.html", id=id, problems=problems), 503
    record = _record(id)
    arms = [Arm(title(record.technique), record)]
    return render_template(
        "runs/show.html",
        id=id,
        record=record,
        command=replay(id, record),
        peak=peak_chart(arms, "peak-"),
        timeline=timeline_chart(arms, "step-"),
    )


@bp.get("/results.schema.json")
def results_schema() -> Response:
    """Send the JSON schema that every record obeys."""
    return _json(schema())


def _record(id: str) -> Record:
    record = state().records.by_id.get(id)
    if record is None:
        abort(404)
    return record


def _json(text: str) -> Response:
    return Response(text, mimetype="application/json")
