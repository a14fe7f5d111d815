"""What the forms and the script of the lab's panels ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator

from flask import (
    Blueprint,
    Response,
    abort,
    flash,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from werkzeug.wrappers import Response as Redirect

from steelyard.web.evidence import techniques
from steelyard.web.lab import ask, guard
from steelyard.web.lab.options import DemoError, OptionError, arguments, options
from steelyard.web.lab.panels import asked_techniques, current_lab, locked, run_view
from steelyard.web.lab.queue import FullError, Lab
from steelyard.web.lab.run import DemoRun
from steelyard.web.planner import plan
from steelyard.web.text import technique_texts
from steelyard.web.text.technique_texts import title

bp = Blueprint("lab", __name__, url_prefix="/lab")

Page = str | tuple[str, int]


@bp.before_request
def require_lab_access() -> tuple[str, int] | None:
    """Refuse requests that may not start demos, and forms that other sites sent."""
    refused = guard.refusal()
    if refused is None and request.endpoint != "lab.enter":
        refused = locked(current_lab())
    if refused is None and request.method == "POST" and not guard.comes_from_here():
        refused = _("This form was not sent from a page of this site.")
    return _refused(refused) if refused else None


@bp.get("/open")
def enter() -> Redirect | tuple[str, int]:
    """Take the link from the terminal, which serves once, and let this session start demos."""
    if not current_lab().guard.opens(request.args.get("token", "")):
        return _refused(_("This link counts no more. The terminal shows the one that does."))
    flash(_("You can start demos from the pages of the techniques now."))
    return redirect(url_for("techniques.index"), 303)


@bp.post("/runs")
def start() -> Redirect | Page:
    """Queue a demo with the values of the form, or say what is wrong with them."""
    technique = request.form.get("technique", "")
    if technique not in technique_texts.techniques():
        abort(404)
    lab = current_lab()
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
    lab = current_lab()
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
    run = _run(number)
    return render_template("lab/show.html", run=run, view=run_view(run), technique_title=title(run.technique))


@bp.post("/runs/<int:number>/cancel")
def cancel(number: int) -> Redirect:
    """End a run."""
    run = _run(number)
    current_lab().cancel(run)
    if run.predicts:
        return redirect(url_for("lab.show", number=number), 303)
    return _to_panel(run.technique)


@bp.get("/runs/<int:number>/events")
def events(number: int) -> Response:
    """Stream a run's progress. The reader who goes away ends the stream and not the run."""
    return Response(
        _stream(current_lab(), _run(number)),
        mimetype="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


def _stream(lab: Lab, run: DemoRun) -> Iterator[str]:
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


# ---- helpers ---------------------------------------------------------------------------------------------


def _run(number: int) -> DemoRun:
    return current_lab().run(number) or abort(404)


def _refused(why: str) -> tuple[str, int]:
    return render_template("lab/refused.html", why=why), 403


def _again(technique: str, trouble: str, status: int) -> Page:
    _shown_at(url_for("techniques.show", name=technique), trouble)
    return techniques.show(technique), status


def _ask_again(trouble: str, status: int) -> Page:
    _shown_at(url_for("plan.show"), trouble)
    return plan.show(), status


def _shown_at(url: str, trouble: str) -> None:
    """Store the address of the page shown and the form's error in `g`, for the page that is rendered next."""
    g.shown_at = url
    g.lab_trouble = trouble, request.form.to_dict()


def _to_panel(technique: str) -> Redirect:
    return redirect(url_for("techniques.show", name=technique, _anchor="run"), 303)
