"""`steelyard serve --with-demos` as a user starts it: the link in the terminal, and the end of site and demo."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import click
import psutil
import pytest

from steelyard.settings import project_data
from steelyard.web import serve as serving
from web.lab_site import TINY

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The project's own scripts in a folder of their own, so that their records are written there."""
    (tmp_path / "demos").mkdir()
    for name in ("baseline.py", "lora.py"):
        shutil.copy(project_data() / "demos" / name, tmp_path / "demos")
    return os.environ | {
        "STEELYARD_DATA": str(tmp_path / "data"),
        "STEELYARD_DEMOS": str(tmp_path / "demos"),
        "PYTHONPATH": os.pathsep.join(str(project_data() / folder) for folder in ("site", "demos")),
        "OMP_NUM_THREADS": "1",
    }


def start_demo(browser: OpenerDirector, site: str) -> None:
    """Send the form of LoRA's page, for a run that would take long, and follow it until it trains."""
    page = browser.open(f"{site}/techniques/lora").read().decode()
    token = re.findall(r'name="csrf_token" value="([^"]+)"', page)[0]
    form = {"csrf_token": token, "technique": "lora", **TINY, "steps": "2000"}
    browser.open(Request(f"{site}/lab/runs", urlencode(form).encode(), {"Origin": site}))
    with browser.open(f"{site}/lab/runs/1/events") as stream:
        for line in stream:
            if line.startswith(b"data: "):
                parts = json.loads(line.removeprefix(b"data: "))["parts"]
                if parts and parts[0]["state"] == "train":
                    return
    pytest.fail("the run ended before it trained")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_the_end_of_the_site_is_the_end_of_the_demo(tmp_path, environment, how):
    """Even of a site that is killed: a demo to whom nobody listens any more ends itself."""
    command = [sys.executable, "-m", "steelyard.cli", "serve", "--port", "0", "--with-demos"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            link = next(line.strip() for line in process.stdout if "/lab/open?token=" in line)
            browser = build_opener(HTTPCookieProcessor(CookieJar()))
            browser.open(link)
            start_demo(browser, link.partition("/lab/")[0])
            demo = psutil.Process(process.pid).children(recursive=True)
            assert len(demo) >= 2, "the demo and its child"
            process.send_signal(how)
            process.wait()
        finally:
            process.kill()
    _gone, alive = psutil.wait_procs(demo, timeout=600)

    assert alive == []
    assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 0)
    assert not list((tmp_path / "demos" / "out").glob("*.json")), "what was broken off leaves no record"


def test_without_the_demos_libraries_it_is_refused_and_told_what_to_do(monkeypatch):
    monkeypatch.setattr(serving, "find_spec", lambda name: None)

    with pytest.raises(click.ClickException, match=r"the demos need torch and transformers; make demos"):
        serving.serve(port=0, with_demos=True)


def test_with_other_trusted_hosts_it_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("STEELYARD_DATA", str(tmp_path))
    monkeypatch.setenv("STEELYARD_TRUSTED_HOSTS", "localhost,quiz.example.org")

    with pytest.raises(click.ClickException, match=r"STEELYARD_TRUSTED_HOSTS names quiz\.example\.org"):
        serving.serve(port=0, with_demos=True)
