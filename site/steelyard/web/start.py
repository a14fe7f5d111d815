"""The application as a server starts it: templates, the planner's page and questions are made beforehand."""

from __future__ import annotations

import gc
from itertools import islice

from flask import Flask

from steelyard.settings import Settings
from steelyard.web import create_app
from steelyard.web.app.languages import LANGUAGES
from steelyard.web.app.security import own_host
from steelyard.web.app.state import state
from steelyard.web.evidence.cards import evidence_cards
from steelyard.web.lab import Lab
from steelyard.web.planner import plan
from steelyard.web.quiz.rendered import KEPT, rendered


def ready_app(settings: Settings | None = None, demos: Lab | None = None) -> Flask:
    """Return `create_app`'s application with its templates loaded and the planner's page made once.

    A public site's questions are rendered, too, so that its workers share them: a crowd that comes to workers
    which have rendered nothing yet would wait for each of them to do so.

    What it holds by then, the records above all, stays until the process ends, so the garbage collector
    passes it over from here on: going through it takes some 70 ms of whatever request comes upon it. Once in
    a process, and before it forks. Raises SettingsError as `create_app` does.
    """
    app = create_app(settings, demos)
    for name in app.jinja_env.list_templates(extensions=["html"]):
        app.jinja_env.get_template(name)
    for language in LANGUAGES:
        with app.test_request_context(f"/plan?lang={language}", f"http://{own_host(app)}"):
            plan.show()
            if state().settings.public:
                _render_questions(app, language)
    gc.collect()
    gc.freeze()
    return app


def _render_questions(app: Flask, language: str) -> None:
    """Render what the cache holds of the questions in one language."""
    for question, edition in islice(state().bank.questions.items(), KEPT // len(LANGUAGES)):
        try:
            evidence_cards(rendered(edition, language).judgements.values())
        except Exception:  # its own page breaks, if it is asked for, and no other
            app.logger.exception("%s could not be rendered", question)
