"""The panel of a technique page, and what its forms and its script ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from werkzeug.wrappers import Response as Redirect

from steelyard.web.app.state import state
from steelyard.web.evidence import techniques
from steelyard.web.lab import ask, guard, results
from steelyard.web.lab.options import DemoError, Option, OptionError, arguments, options
from steelyard.web.lab.queue import FullError, Lab
from steelyard.web.lab.run import Part, Run
from steelyard.web.planner import plan
from steelyard.web.text import numbers, technique_texts

EXTENSION = "steelyard.lab"

bp = Blueprint("lab", __name__, url_prefix="/lab")

Page = str | tuple[str, int]


@dataclass(frozen=True)
class Panel:
    """What a technique page shows about running its demo."""

    technique: str
    closed: str | None = None
    """Why demos cannot be started by this reader; None if they can."""
    trouble: str | None = None
    """What was wrong with the form that was sent."""
    options: tuple[Option, ...] = ()
    given: Mapping[str, str] | None = None
    """The values of that form."""
    run: Run | None = None

    def value(self, option: Option) -> str:
        """Return what the form's field holds."""
        return option.default if self.given is None else self.given.get(option.name, "")


def panel(technique: str) -> Panel | None:
    """Return the panel of a technique's page; None where demos are not started from pages."""
    lab = current_app.extensions.get(EXTENSION)
    if lab is None:
        return None
    if closed := guard.refusal() or _locked(lab):
        return Panel(technique, closed)
    trouble, given = g.get("lab_trouble", (None, None))
    try:
        offered = options(lab.demos / f"{technique}.py")
    except DemoError as error:
        return Panel(technique, str(error))
    return Panel(technique, None, trouble, offered, given, lab.latest(technique))


@dataclass(frozen=True)
class Asking:
    """What the planner's page shows about predicting any other model."""

    closed: str | None = None
    """Why this reader cannot; None if they can."""
    trouble: str | None = None
    """What was wrong with the form that was sent."""
    given: Mapping[str, str] = field(default_factory=dict)
    """The values of that form."""
    runs: tuple[Run, ...] = ()
    """What was asked so far, the latest first."""


def asking() -> Asking | None:
    """Return what the planner's page shows; None where demos are not started from pages."""
    lab = current_app.extensions.get(EXTENSION)
    if lab is None:
        return None
    if closed := guard.refusal() or _locked(lab):
        return Asking(closed)
    trouble, given = g.get("lab_trouble", (None, {}))
    return Asking(None, trouble, given, tuple(lab.predictions()))


@bp.before_request
def _may() -> tuple[str, int] | None:
    """Let nobody in but who may start demos, and take forms from this site's own pages only."""
    refused = guard.refusal()
    if refused is None and request.endpoint != "lab.enter":
        refused = _locked(_lab())
    if refused is None and request.method == "POST" and not guard.comes_from_here():
        refused = _("This form was not sent from a page of this site.")
    return _refused(refused) if refused else None


@bp.get("/open")
def enter() -> Redirect | tuple[str, int]:
    """Take the link from the terminal, which serves once, and let this session start demos."""
    if not _lab().guard.opens(request.args.get("token", "")):
        return _refused(_("This link counts no more. The terminal shows the one that does."))
    flash(_("You can start demos from the pages of the techniques now."))
    return redirect(url_for("techniques.index"), 303)


@bp.post("/runs")
def start() -> Redirect | Page:
    """Queue a demo with the values of the form, or say what is wrong with them."""
    technique = request.form.get("technique", "")
    if technique not in technique_texts.techniques():
        abort(404)
    lab = _lab()
    script = lab.demos / f"{technique}.py"
    try:
        lab.submit(script, arguments(options(script), request.form))
    except (OptionError, DemoError) as error:
        return _again(technique, str(error), 400)
    except FullError:
        return _again(technique, _("The queue is full. Wait until a run has ended, or cancel one."), 429)
    return _to_panel(technique)


@bp.post("/predictions")
def predict() -> Redirect | Page:
    """Queue the prediction of a model by its config.json, or say what is wrong with the form."""
    technique = request.form.get("technique", "")
    if technique not in asked_techniques():
        abort(404)
    lab = _lab()
    script = lab.demos / f"{technique}.py"
    sent = request.files.get("file")
    try:
        text = sent.read().decode("utf-8-sig") if sent else request.form.get("config", "")
        run = lab.submit(script, ask.words(script, request.form, text, lab.out))
    except UnicodeDecodeError:
        return _ask_again(_("The file is no text in UTF-8."), 400)
    except (OptionError, DemoError) as error:
        return _ask_again(str(error), 400)
    except FullError:
        return _ask_again(_("The queue is full. Wait until a run has ended, or cancel one."), 429)
    return redirect(url_for("lab.show", number=run.number), 303)


@bp.get("/runs/<int:number>")
def show(number: int) -> str:
    """Show how a run gets on, or what it has found; a reload shows more."""
    return render_template("lab/show.html", run=_run(number))


@bp.post("/runs/<int:number>/cancel")
def cancel(number: int) -> Redirect:
    """End a run."""
    run = _run(number)
    _lab().cancel(run)
    if run.predicts:
        return redirect(url_for("lab.show", number=number), 303)
    return _to_panel(run.technique)


@bp.get("/runs/<int:number>/events")
def events(number: int) -> Response:
    """Stream a run's progress. The reader who goes away ends the stream and not the run."""
    return Response(
        _stream(_lab(), _run(number)), mimetype="text/event-stream", headers={"Cache-Control": "no-store"}
    )


def _stream(lab: Lab, run: Run) -> Iterator[str]:
    """Yield the stream's events. No request, session or database is at hand here."""
    sent: dict[int, int] = {}
    for changed in lab.follow(run):
        if not changed:
            yield ": still here\n\n"
            continue
        parts = []
        for number, part in enumerate(list(run.parts)):
            points = part.points[sent.get(number, 0) :]
            sent[number] = sent.get(number, 0) + len(points)
            parts.append(
                {"name": part.name, "state": part.state, "done": part.done, "of": part.of}
                | {"measure": part.measure, "points": points}
            )
        news = {"state": run.state, "before": lab.before(run), "parts": parts}
        yield f"data: {json.dumps(news)}\n\n"


# ---- what templates ask ----------------------------------------------------------------------------------


@bp.app_template_global()
def run_result(run: Run) -> results.Result | None:
    """Return what a run found, with the published record beside it; None while it has found nothing."""
    return results.result(run, state().records) if run.records and not run.predicts else None


@bp.app_template_global()
def run_predicted(run: Run) -> list[plan.Asked]:
    """Return what a run predicted, held against every GPU."""
    return plan.asked(run.records) if run.predicts else []


@bp.app_template_global()
def asked_techniques() -> tuple[str, ...]:
    """Return the techniques of which any model's prediction can be asked, in their order."""
    return tuple(name for name in technique_texts.techniques() if name not in ask.ON_RANKS)


@bp.app_template_global()
def run_words(name: str) -> str:
    """Return how a run's state, or that of one of its parts, is called."""
    return run_states()[name]


@bp.app_template_global()
def run_before(run: Run) -> int:
    """Return how many runs come before this one."""
    return _lab().before(run)


@bp.app_template_global()
def run_states() -> dict[str, str]:
    """Return what every state of a run, or of one of its parts, is called."""
    return {
        "queued": _("waiting for its turn"),
        "running": _("running"),
        "done": _("done"),
        "refused": _("refused"),
        "cancelled": _("cancelled"),
        "waiting": _("to come"),
        "starting": _("starting"),
        "load": _("loading"),
        "evaluate": _("evaluating on held-out text"),
        "train": _("training"),
        "ledger": _("one step under the ledger"),
        "predict": _("predicting"),
        "ok": _("done"),
        "oom": _("out of memory"),
        "failed": _("failed"),
        "not_applicable": _("not applicable here"),
    }


@bp.app_template_global()
def choice_words(option: Option, choice: str) -> str:
    """Return what a choice of an option is called."""
    if choice == "":
        return _("all of them")
    if option.name == "model" and choice == "tiny":
        return _("tiny (two random layers, seconds)")
    return choice


@dataclass(frozen=True)
class Sparkline:
    """The memory of a run's parts over the seconds since each began, as lines of one picture."""

    lines: tuple[str, ...]
    seconds: str
    most: str


WIDTH, HEIGHT = 600, 120


@bp.app_template_global()
def sparkline(run: Run) -> Sparkline:
    """Draw what was heard so far; the page's script draws on in the same way."""
    series = [list(part.points) for part in run.parts]
    last = max((points[-1][0] for points in series if points), default=0.0)
    most = max((nbytes for points in series for _, nbytes in points), default=0)
    lines = tuple(
        " ".join(
            f"{WIDTH * seconds / (last or 1):.1f},{HEIGHT - 0.92 * HEIGHT * nbytes / (most or 1):.1f}"
            for seconds, nbytes in points
        )
        for points in series
    )
    return Sparkline(
        lines,
        f"{numbers.count(round(last))}{numbers.NBSP}s" if last else "",
        numbers.size(most) if most else "",
    )


@bp.app_template_global()
def part_memory(part: Part) -> str:
    """Return the most that a part was seen to hold."""
    return numbers.size(part.most) if part.most is not None else ""


# ---- helpers ---------------------------------------------------------------------------------------------


def _lab() -> Lab:
    lab: Lab = current_app.extensions[EXTENSION]
    return lab


def _run(number: int) -> Run:
    return _lab().run(number) or abort(404)


def _locked(lab: Lab) -> str | None:
    if lab.guard.is_open():
        return None
    return _("To start demos from here, open the link that the terminal shows, once.")


def _refused(why: str) -> tuple[str, int]:
    return render_template("lab/refused.html", why=why), 403


def _again(technique: str, trouble: str, status: int) -> Page:
    _shown_at(url_for("techniques.show", name=technique), trouble)
    return techniques.show(technique), status


def _ask_again(trouble: str, status: int) -> Page:
    _shown_at(url_for("plan.show"), trouble)
    return plan.show(), status


def _shown_at(url: str, trouble: str) -> None:
    """Let the page that the answer shows know its own address, and what was wrong with the form."""
    g.shown_at = url
    g.lab_trouble = trouble, request.form.to_dict()


def _to_panel(technique: str) -> Redirect:
    return redirect(url_for("techniques.show", name=technique, _anchor="run"), 303)
