"""What pages show of the lab: the panel of a technique's page, that of the planner's, and a run."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field

from flask import current_app, g
from flask_babel import gettext as _

from steelyard.web.app.state import state
from steelyard.web.lab import ask, guard, results
from steelyard.web.lab.options import DemoError, DemoOption, options
from steelyard.web.lab.queue import Lab
from steelyard.web.lab.run import DemoRun
from steelyard.web.planner import plan
from steelyard.web.text import numbers, technique_texts
from steelyard.web.text.technique_texts import title

EXTENSION = "steelyard.lab"


def current_lab() -> Lab:
    """Return the lab of the application that handles this request. Raises KeyError where there is none."""
    lab: Lab = current_app.extensions[EXTENSION]
    return lab


def locked(lab: Lab) -> str | None:
    """Return what a session that was not opened with the terminal's link is told."""
    if lab.guard.is_open():
        return None
    return _("To start demos from here, open the link that the terminal shows, once.")


@dataclass(frozen=True)
class RunPanel:
    """What a technique page shows about running its demo."""

    technique: str
    closed: str | None = None
    """Why demos cannot be started by this reader; None if they can."""
    trouble: str | None = None
    """What was wrong with the form that was sent."""
    options: tuple[DemoOption, ...] = ()
    given: Mapping[str, str] | None = None
    """The values of that form."""
    view: RunView | None = None
    """The run that was asked for last."""

    def value(self, option: DemoOption) -> str:
        """Return what the form's field holds."""
        return option.default if self.given is None else self.given.get(option.name, "")


def run_panel(technique: str) -> RunPanel | None:
    """Return the panel of a technique's page; None where demos are not started from pages."""
    lab = current_app.extensions.get(EXTENSION)
    if lab is None:
        return None
    if closed := guard.refusal() or locked(lab):
        return RunPanel(technique, closed)
    trouble, given = g.get("lab_trouble", (None, None))
    try:
        offered = options(lab.demos / f"{technique}.py")
    except DemoError as error:
        return RunPanel(technique, str(error))
    run = lab.latest(technique)
    return RunPanel(technique, None, trouble, offered, given, run_view(run) if run else None)


@dataclass(frozen=True)
class AskPanel:
    """What the planner's page shows about predicting any other model."""

    closed: str | None = None
    """Why this reader cannot; None if they can."""
    trouble: str | None = None
    """What was wrong with the form that was sent."""
    given: Mapping[str, str] = field(default_factory=dict)
    """The values of that form."""
    techniques: tuple[tuple[str, str], ...] = ()
    """Of which any model's prediction can be asked, with what each is called."""
    runs: tuple[tuple[int, str, str], ...] = ()
    """What was asked so far, the latest first: number, what the technique is called, and state in words."""


def ask_panel() -> AskPanel | None:
    """Return what the planner's page shows; None where demos are not started from pages."""
    lab = current_app.extensions.get(EXTENSION)
    if lab is None:
        return None
    if closed := guard.refusal() or locked(lab):
        return AskPanel(closed)
    trouble, given = g.get("lab_trouble", (None, {}))
    words = state_words()
    return AskPanel(
        None,
        trouble,
        given,
        tuple((name, title(name)) for name in asked_techniques()),
        tuple((run.number, title(run.technique), words[run.state]) for run in lab.predictions()),
    )


def asked_techniques() -> tuple[str, ...]:
    """Return the techniques of which any model's prediction can be asked, in their order."""
    return tuple(name for name in technique_texts.techniques() if name not in ask.ON_RANKS)


# ---- a run -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sparkline:
    """The memory of a run's parts over the seconds since each began, as lines of one picture."""

    lines: tuple[str, ...]
    seconds: str
    most: str


WIDTH, HEIGHT = 600, 120


def sparkline(run: DemoRun) -> Sparkline:
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


@dataclass(frozen=True)
class RunView:
    """A run as its page shows it; a reload shows more."""

    run: DemoRun
    words: dict[str, str]
    """What each state of a run, or of one of its parts, is called."""
    before: int
    """How many runs come before this one."""
    picture: Sparkline
    result: results.RunResult | None
    """What it found, with the published record beside it; None before its end, and of a prediction."""
    predicted: list[plan.AskedPrediction]
    """What it predicted, compared with every GPU; empty before its end."""


def run_view(run: DemoRun) -> RunView:
    """Return what there is to show of a run."""
    before = current_lab().before(run)
    run = copy(run)  # it goes on meanwhile, and a page that says "done" has to show what was found
    trained = run.ended and run.records and not run.predicts
    return RunView(
        run,
        state_words(),
        before,
        sparkline(run),
        results.result(run, state().records) if trained else None,
        plan.asked(run.records) if run.ended and run.predicts else [],
    )


def state_words() -> dict[str, str]:
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
