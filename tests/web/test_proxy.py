"""The proxy's configuration in docs/deploy, with the real nginx: buffers, compression, and what it tells the site."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode

import pytest

from nginx import HOST, MISSING, Proxy, is_missing, nginx
from steelyard.settings import Settings
from steelyard.web import serve as serving

pytestmark = pytest.mark.slow

SLOW_CLIENTS = 40
"""Two and a half times as many as the production command has threads."""


@pytest.fixture(autouse=True)
def _needs_nginx() -> None:
    if is_missing():
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)


# ---- what the site gets ----------------------------------------------------------------------------------------


class Upstream(BaseHTTPRequestHandler):
    """Notes what it is asked, and answers with a long text."""

    asked: list[tuple[str, str, dict[str, str], bytes]]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.command, self.path, dict(self.headers), body))
        text = b"the same again, " * 4096
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def asked() -> list[tuple[str, str, dict[str, str], bytes]]:
    return []


@pytest.fixture
def before_a_listener(tmp_path: Path, asked) -> Iterator[Proxy]:
    handler = type("Handler", (Upstream,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            with nginx(tmp_path, server.server_port) as proxy:
                yield proxy
        finally:
            server.shutdown()
            thread.join()


def test_the_site_is_told_the_address_that_the_proxy_saw_and_no_other(before_a_listener, asked):
    connection = before_a_listener.connect()
    forged = {"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "http", "Host": HOST}
    connection.request("GET", "/quizzes/basics?lang=ja", headers=forged)
    connection.getresponse().read()
    connection.close()
    ((_, path, headers, _),) = asked

    assert path == "/quizzes/basics?lang=ja"
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "https"
    assert headers["Host"] == HOST


def test_a_request_reaches_the_site_when_it_is_whole(before_a_listener, asked):
    """Of one that stops in its header, and of one that stops in its body, the site hears nothing."""
    head = f"POST /slow HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n"
    with before_a_listener.socket() as in_head, before_a_listener.socket() as in_body:
        in_head.sendall(head.encode())
        in_body.sendall(f"{head}\r\nhalf".encode())
        connection = before_a_listener.connect()
        connection.request("GET", "/whole", headers={"Host": HOST})
        connection.getresponse().read()
        assert [path for _, path, _, _ in asked] == ["/whole"]
        in_body.sendall(b" whole")
        assert in_body.recv(12) == b"HTTP/1.1 200"
        connection.close()

    assert [(path, body) for _, path, _, body in asked[1:]] == [("/slow", b"half whole")]


def test_answers_are_compressed_for_who_takes_it(before_a_listener, asked):
    connection = before_a_listener.connect()
    connection.request("GET", "/", headers={"Host": HOST, "Accept-Encoding": "gzip"})
    response = connection.getresponse()
    packed = response.read()
    connection.request("GET", "/", headers={"Host": HOST, "Accept-Encoding": "identity"})
    plain = connection.getresponse().read()
    connection.close()

    assert response.headers["Content-Encoding"] == "gzip" and response.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 10


def test_plain_http_leads_to_https_of_the_sites_own_name(before_a_listener, asked):
    connection = HTTPConnection("127.0.0.1", before_a_listener.http, timeout=600)
    connection.request("GET", "/join/ABCD-EFGH", headers={"Host": "evil.example"})
    response = connection.getresponse()
    response.read()
    connection.close()

    assert (response.status, response.headers["Location"]) == (301, f"https://{HOST}/join/ABCD-EFGH")
    assert asked == []


# ---- the whole ---------------------------------------------------------------------------------------------------


@pytest.fixture
def production(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The site as `steelyard serve --public` says to run it; only the port is another."""
    for name in ("data", "questions", "results"):
        monkeypatch.setenv(f"STEELYARD_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("STEELYARD_SECRET_KEY", "s" * 32)
    monkeypatch.setenv("STEELYARD_TRUSTED_HOSTS", HOST)
    monkeypatch.setenv("STEELYARD_PROXIES", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    said: list[str] = []
    serving.serve(public=True, say=said.append)
    (line,) = [line for text in said for line in text.splitlines() if "gunicorn" in line]
    assert " --bind 127.0.0.1:8000 " in line
    words = shlex.split(line.replace("127.0.0.1:8000", "127.0.0.1:0"))
    command = ["env", *words]  # the line begins with variables
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            ports = (re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line) for line in process.stdout)
            yield int(next(port for port in ports if port)[1])
        finally:
            process.terminate()
            process.communicate()


def test_slow_clients_do_not_stop_the_site(tmp_path, production):
    """Forty send half a header, forty half a form, and forty ask for a page that they do not read."""
    post = f"POST /quizzes/basics HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n"
    page = f"GET /plan HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    with nginx(tmp_path, production) as proxy, ExitStack() as open_:
        for sent in (post[:-2], f"{post}\r\nmode=", page):
            for _ in range(SLOW_CLIENTS):
                slow = open_.enter_context(proxy.socket())
                slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                slow.sendall(sent.encode())
        connection = proxy.connect()
        connection.request("GET", "/quizzes/basics", headers={"Host": HOST})
        response = connection.getresponse()
        cookie = response.headers["Set-Cookie"].partition(";")[0]
        html = response.read().decode()
        token = re.findall(r'name="csrf_token" value="([^"]+)"', html)[0]
        form = {
            "Host": HOST,
            "Cookie": cookie,
            "Referer": f"https://{HOST}/quizzes/basics",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode({"csrf_token": token, "mode": "practice"})
        connection.request("POST", "/quizzes/basics", body, headers=form)
        started = connection.getresponse()
        started.read()
        connection.close()

    assert response.status == 200 and "Secure" in response.headers["Set-Cookie"]
    assert started.status == 303
