"""The addresses that templates get are those of Flask, however often they are asked for."""

from __future__ import annotations

import flask
import pytest
from werkzeug.routing import BuildError

ASKED = [
    ("home.index", {}),
    ("questions.show", {"question_id": "lora/rank"}),
    ("questions.show", {"question_id": "lora/rank", "attempt": "a" * 32}),
    ("questions.show", {"question_id": "学習/問 1?&", "attempt": "& =?+/'é", "mode": None}),
    ("questions.answer", {"question_id": "lora/rank", "attempt": None}),
    ("questions.show", {"attempt": "b" * 32, "question_id": "lora/rank", "n": 3}),
    ("attempts.show", {"attempt_id": "a" * 32, "_anchor": "claim-x"}),
    ("plan.show", {"model": ["a", "b"]}),
    ("static", {"filename": "css/base.css"}),
    ("instructor.show_quiz", {"slug": "lora", "class": "ABCD"}),
    ("home.index", {"_external": True}),
]


@pytest.fixture
def both(app):
    """Return a function that asks Flask and a template for an address on a page of the site."""
    from_template = app.jinja_env.globals["url_for"]

    def ask(endpoint: str, values: dict[str, object], page: str = "/", root: str = "") -> tuple[str, str]:
        with app.test_request_context(
            page, environ_overrides={"SCRIPT_NAME": root.encode().decode("latin-1")}
        ):
            return flask.url_for(endpoint, **values), from_template(endpoint, **values)

    return ask


@pytest.mark.parametrize(("endpoint", "values"), ASKED)
def test_a_template_gets_the_address_that_flask_gives(both, endpoint, values):
    for root in ("", "/quiz", "", "/学校"):
        flasks, ours = both(endpoint, values, root=root)
        assert ours == flasks


def test_an_address_within_a_blueprint_is_that_of_the_pages_own(both):
    for page, expected in (("/review", "/review/next"), ("/progress", None), ("/review", "/review/next")):
        if expected is None:
            with pytest.raises(BuildError):
                both(".next_due", {}, page)
        else:
            assert both(".next_due", {}, page) == (expected, expected)


def test_what_has_no_address_is_a_fault_as_with_flask(app):
    with app.test_request_context("/"):
        for endpoint, values in (
            ("nowhere", {}),
            ("questions.show", {}),
            ("questions.show", {"slug": "lora"}),
        ):
            with pytest.raises(BuildError):
                app.jinja_env.globals["url_for"](endpoint, **values)
