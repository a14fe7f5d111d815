"""Headers, cookies and hosts."""

from __future__ import annotations

import re
from dataclasses import replace
from http.cookies import SimpleCookie

import pytest

from learner import Learner
from steelyard.settings import SettingsError
from steelyard.web import create_app

PAGES = ["/", "/quizzes/basics", "/questions/basics/first", "/techniques", "/techniques/lora", "/nowhere"]


@pytest.mark.parametrize("url", [*PAGES, "/healthz", "/static/css/base.css"])
def test_every_response_carries_the_headers(client, url):
    with client.get(url) as response:
        headers = response.headers

    assert "'unsafe" not in headers["Content-Security-Policy"]
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("url", PAGES)
@pytest.mark.parametrize("language", ["en", "ja"])
def test_no_page_has_inline_styles_or_scripts(client, url, language):
    html = client.get(f"{url}?lang={language}").text

    assert not re.findall(r"<[^>]*\s(?:style|on\w+)\s*=", html)
    assert not re.findall(r"<style|<script(?![^>]*\ssrc=)", html)


@pytest.mark.parametrize("url", PAGES)
def test_no_page_names_a_path_of_the_server(client, settings, url):
    assert str(settings.questions.parent) not in client.get(url).text


def test_cookies_are_kept_from_scripts_and_other_sites(settings, make_app):
    for https in (False, True):
        client = make_app(replace(settings, https=https)).test_client()
        response = client.get("/questions/basics/first?lang=ja&theme=dark")
        cookies = [SimpleCookie(header) for header in response.headers.getlist("Set-Cookie")]
        morsels = {name: morsel for cookie in cookies for name, morsel in cookie.items()}

        assert morsels.keys() == {"steelyard", "lang", "theme"}
        assert {bool(m["httponly"]) for m in morsels.values()} == {True}
        assert {m["samesite"] for m in morsels.values()} == {"Lax"}
        assert {bool(m["secure"]) for m in morsels.values()} == {https}
        assert ("Strict-Transport-Security" in response.headers) == https


def test_a_host_that_is_not_this_sites_is_refused(client):
    response = client.get("/", headers={"Host": "evil.example"})

    assert response.status_code == 400
    assert "evil.example" not in response.text


def test_an_error_of_the_server_shows_neither_path_nor_traceback(settings, make_app):
    app = make_app(settings)
    app.testing = False

    @app.get("/fails")
    def fails() -> str:
        raise RuntimeError(f"at {__file__}")

    page = Learner(app).get("/fails")

    assert page.status == 500
    assert "Something broke on our side" in page.text
    assert "Traceback" not in page.text and __file__ not in page.text


def test_a_failure_of_the_pages_frame_still_gives_a_plain_page(settings, make_app):
    app = make_app(settings)
    app.testing = False

    @app.context_processor
    def fails() -> dict[str, str]:
        raise RuntimeError("no frame")

    page = Learner(app).get("/")

    assert page.status == 500
    assert "Something broke on our side" in page.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secret_key": None}, "STEELYARD_SECRET_KEY is not set"),
        ({"secret_key": "short"}, "shorter than 16"),
        ({"trusted_hosts": ()}, "STEELYARD_TRUSTED_HOSTS is not set"),
        (
            {"trusted_hosts": ("localhost", "https://a.example")},
            "names 'https://a.example', which is no host",
        ),
        ({"trusted_hosts": ("*",)}, "names '\\*', which is no host name"),
        ({"trusted_hosts": ("..",)}, "names '..', which is no host name"),
    ],
)
def test_a_site_does_not_start_without_what_keeps_it_safe(settings, change, words):
    with pytest.raises(SettingsError, match=words):
        create_app(replace(settings, **change))


def test_what_an_author_writes_is_sanitised_on_question_pages(app, settings):
    path = settings.questions / "more" / "alone.en.md"
    text = path.read_text(encoding="utf-8").replace(
        "Alone", '<img src=x onerror=alert(1)>"><script>x</script>'
    )
    path.write_text(text, encoding="utf-8")
    assert app.extensions["steelyard"].live_bank.refresh()
    learner = Learner(app)
    page = learner.get("/questions/more/alone")
    told = learner.answer(page, ["A"])

    for response in (page.response, told.response, learner.get("/quizzes/more").response):
        assert response.status_code == 200
        assert not re.findall(r"<script(?![^>]*\ssrc=)|<[^>]*\sonerror", response.text)
