"""The site: server-rendered pages over the bank, the records and the store. No page grades anything."""

from __future__ import annotations

from flask import Flask

from steelyard.settings import Settings
from steelyard.web import filters, home, instructor, lab
from steelyard.web.app import (
    database,
    errors,
    health,
    identity,
    languages,
    security,
    state,
    static,
)
from steelyard.web.evidence import compare, runs, techniques
from steelyard.web.learner import classes, devices, privacy, progress
from steelyard.web.planner import plan
from steelyard.web.quiz import attempts, exams, media, questions, quizzes, review

BLUEPRINTS = (
    home.bp,
    quizzes.bp,
    questions.bp,
    attempts.bp,
    exams.bp,
    review.bp,
    progress.bp,
    devices.bp,
    privacy.bp,
    classes.bp,
    instructor.bp,
    techniques.bp,
    compare.bp,
    plan.bp,
    runs.bp,
    media.bp,
    health.bp,
)


def create_app(settings: Settings | None = None, demos: lab.Lab | None = None) -> Flask:
    """Return the WSGI application; without settings, by the environment's.

    With `demos`, technique pages can start them (see `steelyard.web.lab`). Raises SettingsError for settings
    with which a site must not start, such as a missing secret.
    """
    settings = (settings or Settings.from_environment()).checked()
    app = Flask(__name__, instance_path=str(settings.data.absolute()))
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    state.init_app(app, settings)
    security.init_app(app, settings)
    database.init_app(app, settings)
    languages.init_app(app)
    identity.init_app(app)
    filters.init_app(app)
    static.init_app(app)
    health.init_app(app)
    errors.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    lab.init_app(app, settings, demos)
    return app
