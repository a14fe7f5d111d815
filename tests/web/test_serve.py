"""The local server, and how a public one is prepared."""

from __future__ import annotations

import gc
import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread

import click
import pytest

from steelyard.settings import LOCAL_HOSTS, Settings
from steelyard.web import create_app
from steelyard.web import serve as serving
from steelyard.web.start import ready_app


@pytest.fixture
def local(settings: Settings) -> Settings:
    return replace(settings, secret_key=None, trusted_hosts=LOCAL_HOSTS)


@contextmanager
def running(settings: Settings, port: int, said: list[str]) -> Iterator[str]:
    server = serving.prepare(settings, port, said.append)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        state = server.app.extensions["steelyard"]
        state.live_bank.close()
        state.live_records.close()
        with server.app.app_context():
            server.app.extensions["sqlalchemy"].engine.dispose()


def test_the_local_server_serves_and_says_where_everything_is(local):
    said: list[str] = []
    with running(local, 0, said) as url, urllib.request.urlopen(url) as response:
        page = response.read().decode()
    text = "\n".join(said)

    assert "Every number, weighed." in page
    assert url in text
    assert str(local.data / "steelyard.sqlite3") in text and str(local.questions) in text


def test_a_taken_port_gives_way_to_the_next(local):
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(local, port, said) as url, urllib.request.urlopen(url) as response:
            assert response.status == 200

    assert url != f"http://127.0.0.1:{port}"
    assert f"Port {port} is taken; using" in said[0]


def test_errors_of_question_files_are_told_at_the_start(local):
    (local.questions / "basics" / "broken.en.md").write_text("# No question\n", encoding="utf-8")
    said: list[str] = []
    with running(local, 0, said):
        pass

    assert [line for line in said if line.startswith("questions/basics/broken.en.md:1:1 E007")]


@pytest.mark.parametrize("host", ["localhost", ".example.org", "quiz.example.org:8443", "学校.example"])
def test_a_server_starts_with_nothing_left_to_load_and_little_for_the_garbage_collector(
    settings, monkeypatch, host
):
    gc.unfreeze()
    app = ready_app(replace(settings, trusted_hosts=(host, "localhost")))
    frozen = gc.get_freeze_count()
    gc.unfreeze()  # this process goes on
    monkeypatch.setattr(app.jinja_loader, "get_source", None)
    asked = app.test_client().get("/plan")

    assert asked.status_code == 200
    assert frozen > 0.9 * len(gc.get_objects())


def test_a_public_site_has_its_questions_rendered_before_it_forks(settings, monkeypatch):
    app = ready_app(replace(settings, trusted_hosts=("localhost",), public=True))
    monkeypatch.setattr("steelyard.web.quiz.rendered.render", None)

    for lang in ("en", "ja"):
        assert app.test_client().get(f"/questions/more/alone?lang={lang}").status_code == 200


def test_a_question_that_cannot_be_rendered_stops_no_public_site(settings, monkeypatch):
    monkeypatch.setattr("steelyard.web.quiz.rendered.render", None)
    app = ready_app(replace(settings, trusted_hosts=("localhost",), public=True))

    assert app.test_client().get("/").status_code == 200


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("data", "questions", "results"):
        monkeypatch.setenv(f"STEELYARD_{name.upper()}", str(getattr(settings, name)))
    return monkeypatch


def test_a_public_site_is_refused_without_a_secret_and_told_how_it_is_run(environment):
    with pytest.raises(click.ClickException) as refused:
        serving.serve(public=True)

    assert "STEELYARD_SECRET_KEY is not set" in refused.value.message
    assert "gunicorn" in refused.value.message


def test_a_public_site_is_refused_without_its_hosts(environment):
    environment.setenv("STEELYARD_SECRET_KEY", "s" * 32)
    environment.setenv("STEELYARD_PUBLIC", "1")

    with pytest.raises(click.ClickException, match="STEELYARD_TRUSTED_HOSTS is not set"):
        serving.serve(public=True)


def test_a_complete_public_site_is_prepared_and_told_its_command(environment, settings):
    environment.setenv("STEELYARD_SECRET_KEY", "s" * 32)
    environment.setenv("STEELYARD_TRUSTED_HOSTS", "quiz.example.org")
    said: list[str] = []
    serving.serve(public=True, say=said.append)

    assert f"STEELYARD_PUBLIC=1 {sys.executable} -m gunicorn --preload --workers 4 --threads 4" in said[0]
    assert (settings.data / "steelyard.sqlite3").is_file()


def test_a_public_site_is_checked_as_its_command_will_start_it(environment):
    """Without hosts of its own a site would answer to nobody but this machine."""
    environment.setenv("STEELYARD_SECRET_KEY", "s" * 32)

    with pytest.raises(click.ClickException, match="STEELYARD_TRUSTED_HOSTS is not set"):
        serving.serve(public=True)


def test_the_command_of_a_public_site_names_the_questions_it_was_checked_with(environment, tmp_path):
    environment.setenv("STEELYARD_SECRET_KEY", "s" * 32)
    environment.setenv("STEELYARD_TRUSTED_HOSTS", "quiz.example.org")
    folder = tmp_path / "my questions"
    folder.mkdir()
    said: list[str] = []
    serving.serve(public=True, questions=folder, say=said.append)

    assert f"STEELYARD_QUESTIONS='{folder}' " in said[0]


@pytest.mark.parametrize(
    ("proxies", "bind", "words"),
    [
        ("0", "0.0.0.0:8000", "nothing protects it from clients that\nsend or read slowly"),
        ("1", "127.0.0.1:8000", "It listens on this machine alone"),
        ("2", "127.0.0.1:8000", "It listens on this machine alone"),
    ],
)
def test_behind_a_proxy_the_site_listens_on_this_machine_alone(environment, proxies, bind, words):
    """Whoever could reach it directly could name any address as theirs."""
    environment.setenv("STEELYARD_SECRET_KEY", "s" * 32)
    environment.setenv("STEELYARD_TRUSTED_HOSTS", "quiz.example.org")
    environment.setenv("STEELYARD_PROXIES", proxies)
    said: list[str] = []
    serving.serve(public=True, say=said.append)

    assert f" --bind {bind} " in said[0]
    assert words in "\n".join(said) and "docs/deploy/nginx.conf" in said[-1]


def test_settings_that_cannot_be_read_are_told_with_a_command_that_opens_nothing(environment):
    environment.setenv("STEELYARD_PROXIES", "one")

    with pytest.raises(click.ClickException, match=r"--bind 127\.0\.0\.1:8000 "):
        serving.serve(public=True)


@pytest.mark.both_databases
def test_an_application_that_is_made_holds_no_connection_that_a_fork_would_share(settings, database_url):
    app = create_app(replace(settings, database_url=database_url))
    with app.app_context():
        pool = app.extensions["sqlalchemy"].engine.pool

    assert (pool.checkedin(), pool.checkedout()) == (0, 0)


def test_an_unreachable_database_is_named_in_one_line(environment):
    environment.setenv("STEELYARD_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")

    with pytest.raises(click.ClickException, match="the database cannot be used"):
        serving.serve(port=0)


def test_the_application_of_the_production_command_starts_by_the_environment(environment):
    environment.setenv("STEELYARD_SECRET_KEY", "s" * 32)
    environment.setenv("STEELYARD_TRUSTED_HOSTS", "localhost")
    serving.serve(public=True, say=lambda line: None)
    app = create_app()

    assert app.test_client().get("/healthz").status_code == 200
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()
