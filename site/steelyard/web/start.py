"""The application as a server starts it: templates and the planner's page are loaded beforehand."""

from __future__ import annotations

import gc

from flask import Flask

from steelyard.settings import Settings
from steelyard.web import create_app
from steelyard.web.app.languages import LANGUAGES
from steelyard.web.app.security import own_host
from steelyard.web.lab import Lab
from steelyard.web.planner import plan


def ready_app(settings: Settings | None = None, demos: Lab | None = None) -> Flask:
    """Return `create_app`'s application with its templates loaded and the planner's page made once.

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
    gc.collect()
    gc.freeze()
    return app
