"""Demos started from a technique's page: who may, what is refused, and a queue of one at a time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click
import pytest
from flask import Flask

from processes import is_alive, is_gone
from steelyard.settings import SettingsError, project_data
from steelyard.web import create_app
from steelyard.web import serve as serving
from steelyard.web.app.database import db
from steelyard.web.lab import Lab, panels
from steelyard.web.lab.queue import WAITING
from web.lab_site import FAKE, WAITS, Visitor, broken_links, raises, script, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab whose `lora` waits until it is told to end, and whose `baseline` ends at once."""
    script(tmp_path / "demos", "lora", WAITS)
    script(tmp_path / "demos", "baseline", FAKE + 'tell(run=0, status="ok", message=None, wrote=[])\n')
    (tmp_path / "out").mkdir()
    with Lab(tmp_path / "demos", tmp_path / "out") as lab:
        yield lab


@pytest.fixture
def app(lab_app: Flask) -> Flask:
    return lab_app


def pid_of(lab: Lab, run) -> int:
    """Return the process of a demo that waits, once it does."""
    wait_until(lab, run, lambda run: bool(run.parts) and run.parts[0].now is not None)
    assert run.pid is not None
    return run.pid


# ---- off by default, and never for strangers -----------------------------------------------------------------


def test_without_the_option_there_is_no_panel_and_no_address(settings, make_app):
    client = make_app(settings).test_client()

    assert 'id="run"' not in client.get("/techniques/lora").text
    assert client.get("/lab/open?token=x").status_code == 404
    assert client.post("/lab/runs").status_code == 404
    assert "connect-src" not in client.get("/techniques/lora").headers["Content-Security-Policy"]


def test_a_public_site_never_has_it(settings, lab):
    with pytest.raises(SettingsError, match="public"):
        create_app(replace(settings, public=True), lab)


def test_a_site_that_answers_to_other_hosts_never_has_it(settings, lab):
    with pytest.raises(SettingsError, match=r"lab\.example\.org"):
        create_app(replace(settings, trusted_hosts=("localhost", "lab.example.org")), lab)


def test_public_and_with_demos_exclude_each_other():
    with pytest.raises(click.ClickException, match="--public and --with-demos"):
        serving.serve(public=True, with_demos=True)


def test_a_foreign_host_gets_400(visitor):
    for method in (visitor.client.get, visitor.client.post):
        assert method("/lab/runs/1", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Via", "X-Real-Ip"]
)
def test_what_came_through_a_proxy_is_refused_and_told_so(visitor, lab, header):
    response = visitor.post("/lab/runs", headers={header: "for=127.0.0.1"}, technique="lora")
    page = visitor.client.get("/techniques/lora", headers={header: "for=127.0.0.1"}).text

    assert response.status_code == 403 and header in response.text
    assert header in page and 'action="/lab/runs"' not in page
    assert lab.latest("lora") is None


def test_what_came_from_another_machine_is_refused(visitor, lab):
    response = visitor.client.get("/lab/runs/1", environ_base={"REMOTE_ADDR": "10.0.0.7"})

    assert response.status_code == 403


def test_a_worker_of_gunicorn_refuses_although_it_was_given_a_lab(tmp_path, lab):
    """The real gunicorn, with an application that somebody made with a lab in spite of everything."""
    (tmp_path / "given.py").write_text(
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from steelyard.settings import LOCAL_HOSTS, Settings\n"
        "from steelyard.web import create_app\n"
        "from steelyard.web.app.database import migrate\n"
        "from steelyard.web.lab import Lab\n"
        f"lab = Lab(Path({str(lab.demos)!r}), Path({str(lab.out)!r}))\n"
        "app = create_app(replace(Settings.from_environment(), trusted_hosts=LOCAL_HOSTS), lab)\n"
        "migrate(app)\n"
        "lab.guard.announce(lambda token: print('token', token, flush=True))\n",
        encoding="utf-8",
    )
    environment = os.environ | {
        "STEELYARD_DATA": str(tmp_path / "data"),
        "STEELYARD_SECRET_KEY": "a secret for tests only",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "given:app"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            token = port = ""
            for line in process.stdout:
                port = port or "".join(re.findall(r"Listening at: http://127\.0\.0\.1:(\d+)", line))
                token = token or line.removeprefix("token ").strip() if line.startswith("token ") else token
                if port and token:
                    break
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/lab/open?token={token}")
            words = refused.value.read().decode()
        finally:
            process.terminate()
            process.communicate()

    assert refused.value.code == 403 and "by the local server only" in words


# ---- the link, and the forms -----------------------------------------------------------------------------------


def test_without_the_link_nothing_can_be_started_or_seen(app, lab):
    stranger = Visitor(app)
    page = stranger.client.get("/techniques/lora").text
    run = lab.submit(lab.demos / "baseline.py", [])
    token = stranger.token("/questions/basics/first")

    assert "open the link that the terminal shows" in page and 'action="/lab/runs"' not in page
    for url in (f"/lab/runs/{run.number}", f"/lab/runs/{run.number}/events"):
        assert stranger.client.get(url).status_code == 403
    for url in ("/lab/runs", f"/lab/runs/{run.number}/cancel"):
        response = stranger.post(url, csrf_token=token, technique="lora")
        assert response.status_code == 403
    assert lab.latest("lora") is None


def test_the_link_serves_once_and_the_terminal_shows_the_next(app, lab):
    told: list[str] = []
    lab.guard.announce(told.append)
    first, second = Visitor(app).client, Visitor(app).client

    assert first.get(f"/lab/open?token={told[0]}").status_code == 303
    assert second.get(f"/lab/open?token={told[0]}").status_code == 403
    assert second.get("/lab/open").status_code == 403
    assert len(told) == 2 and told[0] != told[1]
    assert second.get(f"/lab/open?token={told[1]}").status_code == 303
    assert 'action="/lab/runs"' in first.get("/techniques/lora").text
    assert told[0] not in first.get("/techniques/lora").text


def test_a_session_is_good_for_the_life_of_the_process_only(settings, visitor, tmp_path):
    """The cookie of yesterday's server, signed with the same secret, opens nothing."""
    cookie = visitor.client.get_cookie("steelyard")
    with Lab(visitor.lab.demos, tmp_path / "out") as other:
        app = create_app(replace(settings, demos=other.demos), other)
        client = app.test_client()
        client.set_cookie("steelyard", cookie.value)
        response = client.get("/lab/runs/1")
        with app.app_context():
            app.extensions["sqlalchemy"].engine.dispose()

    assert response.status_code == 403


def test_a_form_without_its_token_is_refused(visitor, lab):
    response = visitor.post("/lab/runs", csrf_token="", technique="lora")

    assert response.status_code == 400 and lab.latest("lora") is None


@pytest.mark.parametrize("origin", ["http://localhost:9999", "http://evil.example", "null", ""])
def test_a_form_from_another_origin_is_refused(visitor, lab, origin):
    """Another port of this machine is another origin, although it shares the cookies."""
    response = visitor.post("/lab/runs", headers={"Origin": origin}, technique="lora")

    assert response.status_code == 403 and lab.latest("lora") is None


def test_nothing_is_started_by_get(visitor, lab):
    assert visitor.client.get("/lab/runs?technique=lora").status_code == 405
    assert lab.latest("lora") is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"batch": "0"}, "Sequences a step: “0” is not a whole number from 1 up."),
        ({"batch": "4; reboot"}, "“4; reboot” is not a whole number"),
        ({"batch": "１"}, "is not a whole number"),
        ({"batch": "9" * 10}, "is not a whole number"),
        ({"lr": "-1"}, "Learning rate: “-1” is not a number above 0."),
        ({"lr": "nan"}, "is not a number above 0"),
        ({"precision": "fp8"}, "Precision: “fp8” is none of mixed, bf16."),
        ({"model": "../../etc"}, "Model: “../../etc” is none of real, tiny."),
    ],
)
def test_a_bad_value_is_told_in_one_line_and_the_form_keeps_what_was_typed(visitor, lab, fields, words):
    response = visitor.post("/lab/runs", technique="lora", **fields)

    assert response.status_code == 400
    assert words in response.text
    assert lab.latest("lora") is None
    (value,) = fields.values()
    if "precision" not in fields and "model" not in fields:
        assert f'value="{value}"' in response.text


def test_a_technique_without_a_script_is_not_found(visitor):
    assert visitor.post("/lab/runs", technique="../evil").status_code == 404


def test_the_page_offers_what_the_demo_accepts_and_nothing_that_writes_elsewhere(visitor):
    page = visitor.client.get("/techniques/lora").text

    assert '<option value="tiny">' in page and 'name="batch" min="1"' in page
    assert 'name="out"' not in page and 'name="publish"' not in page


def test_values_become_words_of_a_command_line_and_no_shell_reads_them(visitor, lab):
    run = visitor.start(
        "lora", batch="2", lr="0.001", precision="bf16", offload="1", out="/tmp/x", publish="1", model="tiny"
    )

    assert run.arguments == ["--model", "tiny", "--batch", "2", "--precision", "bf16", "--offload"]


# ---- the queue ---------------------------------------------------------------------------------------------


def test_two_runs_go_one_after_the_other(visitor, lab):
    first, second = visitor.start("lora"), visitor.start("baseline")
    pid = pid_of(lab, first)

    assert (first.state, second.state, lab.before(second)) == ("running", "queued", 1)
    assert "1 run comes before it" in visitor.client.get(f"/lab/runs/{second.number}").text
    visitor.post(f"/lab/runs/{first.number}/cancel")
    wait_until(lab, second, lambda run: run.state == "done")
    assert first.state == "cancelled" and not is_alive(pid)


def test_a_waiting_run_can_be_cancelled_and_never_starts(visitor, lab):
    first, second = visitor.start("lora"), visitor.start("baseline")
    visitor.post(f"/lab/runs/{second.number}/cancel")
    lab.cancel(first)
    wait_until(lab, first, lambda run: run.ended)

    assert second.state == "cancelled" and second.parts == []


def test_a_page_that_refuses_a_form_leads_to_pages_and_not_to_the_forms_address(visitor):
    page = visitor.post("/lab/runs", technique="lora", batch="none")

    assert page.status_code == 400
    assert not [url for url in broken_links(visitor, page) if url.startswith("/lab")]


def test_what_goes_wrong_before_a_run_begins_ends_that_run_alone(visitor, lab, monkeypatch):
    """Such as a disk without room for its log."""
    with monkeypatch.context() as full:
        full.setattr("tempfile.TemporaryFile", raises(OSError("no space left on device")))
        run = visitor.start("baseline")
        wait_until(lab, run, lambda run: run.state == "failed")
    after = visitor.start("baseline")
    wait_until(lab, after, lambda run: run.state == "done")

    assert run.message == "OSError: no space left on device"


def test_a_full_queue_says_so(visitor, lab):
    pid_of(lab, visitor.start("lora"))
    for _ in range(WAITING):
        visitor.start("lora")
    response = visitor.post("/lab/runs", technique="lora")

    assert response.status_code == 429 and "The queue is full" in response.text


def test_a_run_that_ends_while_its_page_is_made_is_shown_as_it_was(visitor, lab, monkeypatch):
    """Else the page would say that it is done, with nothing found."""
    run = visitor.start("lora")
    pid_of(lab, run)
    drawn = panels.sparkline

    def end_it(shown):
        run.state = "done"
        return drawn(shown)

    monkeypatch.setattr(panels, "sparkline", end_it)
    page = visitor.client.get(f"/lab/runs/{run.number}").text
    run.state = "running"

    assert ">running</strong>" in page and ">done</strong>" not in page


def test_the_end_of_the_lab_ends_the_run_and_all_that_it_started(tmp_path):
    """A demo that ignores SIGTERM, with a child that does too, is killed with it."""
    stubborn = WAITS.replace("signal.pause()\n", "") + (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "if child:\n"
        "    tell(run=0, resident_bytes=child)\n"
        "while True:\n"
        "    signal.pause()\n"
    )
    path = script(tmp_path / "demos", "lora", stubborn)
    (tmp_path / "out").mkdir()
    with Lab(tmp_path / "demos", tmp_path / "out") as lab:
        run = lab.submit(path, [])
        wait_until(lab, run, lambda run: bool(run.parts) and len(run.parts[0].points) == 2)
        pid, child = run.pid, run.parts[0].points[1][1]
        assert is_alive(pid) and is_alive(child)

    assert run.state == "cancelled"
    assert not is_alive(pid) and is_gone(child)


def test_the_page_of_a_run_on_ranks_is_shown_beside_a_lab_too(settings, visitor):
    """Both call the states of what they show by names of their own."""
    (path, *_others) = sorted((project_data() / "demos" / "results" / "cpu").glob("zero-*.json"))
    (settings.results / "cpu").mkdir(exist_ok=True)
    shutil.copy(path, settings.results / "cpu")
    visitor.client.application.extensions["steelyard"].live_records.refresh()
    page = visitor.client.get(f"/runs/cpu/{path.stem}")

    assert page.status_code == 200 and "master weights, fp32" in page.text


# ---- the stream --------------------------------------------------------------------------------------------


def test_a_reader_who_goes_away_ends_the_stream_and_not_the_run(app, visitor, lab):
    run = visitor.start("lora")
    pid = pid_of(lab, run)
    events = visitor.events(run)
    first = next(events)
    with app.app_context():
        assert db.engine.pool.checkedout() == 0, "a stream holds no connection of the database"
    with closing(events):
        pass

    assert first["state"] == "running" and first["parts"][0]["points"][0][1] == 2**20
    assert run.state == "running" and is_alive(pid)


def test_the_stream_ends_with_the_run(visitor, lab):
    run = visitor.start("lora")
    pid_of(lab, run)
    events = visitor.events(run)
    states = [next(events)["state"]]
    lab.cancel(run)
    states += [event["state"] for event in events]

    assert states[0] == "running" and states[-1] == "cancelled"


def test_a_quiet_stream_still_says_that_it_is_there(visitor, lab, monkeypatch):
    """So that the server notices a reader who has gone."""
    monkeypatch.setattr("steelyard.web.lab.queue.HEARTBEAT_SECONDS", 0.01)
    run = visitor.start("lora")
    pid_of(lab, run)
    response = visitor.client.get(f"/lab/runs/{run.number}/events", buffered=False)
    chunks = iter(response.response)

    assert b"data: " in next(chunks)
    assert next(chunks) == b": still here\n\n"


# ---- runs that do not end well ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by signal 9"),
        ("raise RuntimeError('no such layer')", "no such layer"),
        ("print('not JSON', flush=True); signal.pause()", "JSONDecodeError"),
    ],
    ids=["killed", "crashed", "babbling"],
)
def test_a_demo_that_does_not_end_well_leaves_the_site_up(visitor, lab, ending, message):
    script(lab.demos, "lora", FAKE + ending + "\n")
    run = visitor.start("lora")
    wait_until(lab, run, lambda run: run.state == "failed")
    page = visitor.client.get(f"/lab/runs/{run.number}").text

    assert message in (run.message or "") and message in page
    after = visitor.start("baseline")
    wait_until(lab, after, lambda run: run.state == "done")


def test_a_demo_that_is_killed_leaves_none_of_its_processes_behind(visitor, lab):
    ending = (
        "child = os.fork()\n"
        "while not child:\n"
        "    signal.pause()\n"
        "tell(run=0, resident_bytes=child)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    script(lab.demos, "lora", FAKE + ending)
    run = visitor.start("lora")
    wait_until(lab, run, lambda run: run.state == "failed")
    child = run.parts[0].points[1][1]

    assert is_gone(child)


def test_what_the_demo_refuses_is_told_in_its_own_line(visitor, lab):
    script(lab.demos, "lora", FAKE + 'sys.stderr.write("lora.py: --ranks 9: no\\n"); sys.exit(2)\n')
    run = visitor.start("lora")
    wait_until(lab, run, lambda run: run.state == "refused")

    assert "lora.py: --ranks 9: no" in visitor.client.get(f"/lab/runs/{run.number}").text
    assert [part.state for part in run.parts] == ["refused"]


def test_a_script_that_does_not_say_what_it_accepts_closes_its_panel_only(visitor, lab):
    script(lab.demos, "lora", "raise SystemExit('not today')")
    page = visitor.client.get("/techniques/lora")

    assert page.status_code == 200 and "not today" in page.text
    assert 'action="/lab/runs"' in visitor.client.get("/techniques/baseline").text


def test_a_demo_does_not_get_the_sites_secrets(visitor, lab, monkeypatch):
    monkeypatch.setenv("STEELYARD_SECRET_KEY", "do not tell")
    script(lab.demos, "lora", FAKE + 'sys.exit(2 if "STEELYARD_SECRET_KEY" in os.environ else 0)\n')
    run = visitor.start("lora")
    wait_until(lab, run, lambda run: run.ended)

    assert run.state != "refused"


# ---- pages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_panel_has_no_inline_style_and_may_listen_to_its_own_site_only(visitor, lab, language):
    pid_of(lab, visitor.start("lora"))
    response = visitor.client.get(f"/techniques/lora?lang={language}")

    assert not re.findall(r"<[^>]*\s(?:style|on\w+)\s*=", response.text)
    assert not re.findall(r"<style|<script(?![^>]*\ssrc=)", response.text)
    assert response.headers["Content-Security-Policy"].endswith("; connect-src 'self'")
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_without_scripts_the_page_of_a_run_shows_how_far_it_is_and_a_refresh_link(visitor, lab):
    run = visitor.start("lora")
    pid_of(lab, run)
    page = visitor.client.get(f"/lab/runs/{run.number}").text

    assert "training" in page and "1.0\N{NO-BREAK SPACE}MiB" in page
    assert f'href="/lab/runs/{run.number}"' in page and f'action="/lab/runs/{run.number}/cancel"' in page


def test_a_run_that_is_not_there_is_not_found(visitor):
    assert visitor.client.get("/lab/runs/7").status_code == 404
