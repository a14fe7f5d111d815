"""Who sends the lab's cookie: it goes to every port of the machine, and other users listen there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask
from werkzeug.serving import make_server

from steelyard.web.lab import Lab, peer
from web.lab_site import FAKE, script

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups")

needs_the_list = pytest.mark.skipif(
    not peer.CONNECTIONS.exists(), reason="this system does not say whose a connection is"
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    script(tmp_path / "demos", "lora", FAKE)
    with Lab(tmp_path / "demos", tmp_path / "out") as lab:
        yield lab


@contextmanager
def listening(app: Flask) -> Iterator[int]:
    """Serve the site by the local server, and give its port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def asked_for_a_run(port: int, cookie: str) -> tuple[int, str]:
    """Ask by a real connection for a run that there is not, with a stolen cookie."""
    headers = {"Host": "localhost", "Cookie": f"steelyard={cookie}"}
    connection = HTTPConnection("127.0.0.1", port, timeout=600)
    with closing(connection):
        connection.request("GET", "/lab/runs/1", headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


@needs_the_list
def test_another_user_who_got_the_cookie_by_another_port_is_refused(visitor, lab_app, monkeypatch):
    """Browsers send a session's cookie to whoever listens on another port of the machine."""
    cookie = visitor.client.get_cookie("steelyard").value
    with listening(lab_app) as port:
        own, _ = asked_for_a_run(port, cookie)
        monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
        status, words = asked_for_a_run(port, cookie)

    assert own == 404, "there is no such run, and the session is open"
    assert status == 403 and "came from another user of this machine" in words


@needs_the_list
def test_a_connection_is_this_users_while_it_is_open():
    """One that its maker has closed is listed as root's, and nobody knows whose it was."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, (address, port) = server.accept()
        own = server.getsockname()[1]
        with accepted:
            assert peer.is_this_user(address, port, own)
            assert not peer.is_this_user(address, port, own + 1)
            assert not peer.is_this_user("127.0.0.2", port, own)
            assert not peer.is_this_user("::1", port, own)
            assert not peer.is_this_user(None, port, own)
            client.close()
            assert not peer.is_this_user(address, port, own)


def test_where_nobody_says_whose_a_connection_is_the_cookie_decides(monkeypatch, tmp_path):
    assert peer.is_this_user("127.0.0.1", None, 8000)
    monkeypatch.setattr(peer, "CONNECTIONS", tmp_path / "none")
    assert peer.is_this_user("127.0.0.1", 50_000, 8000)
