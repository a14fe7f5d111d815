"""A real nginx on free ports of this machine, with the configuration that the project ships."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

from postgresql import free_port
from steelyard.settings import project_data

MISSING = "nginx or openssl is not installed: apt-get install nginx-light openssl"
SAMPLE = project_data() / "docs" / "deploy" / "nginx.conf"
HOST = "quiz.example.org"

AROUND = """\
{user}
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    types {{ text/html html; }}
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
"""What stands in nginx.conf, so that no folder of the system's is needed."""


@dataclass(frozen=True)
class Proxy:
    """The ports of an nginx."""

    http: int
    https: int

    def socket(self) -> ssl.SSLSocket:
        """Return a connection past TLS, to send bytes by."""
        plain = socket.create_connection(("127.0.0.1", self.https))
        return _trusting().wrap_socket(plain, server_hostname=HOST)

    def connect(self) -> HTTPSConnection:
        return HTTPSConnection("127.0.0.1", self.https, context=_trusting(), timeout=600)


def is_missing() -> bool:
    return not (_nginx() and shutil.which("openssl"))


@contextmanager
def nginx(folder: Path, site: int) -> Iterator[Proxy]:
    """Run nginx with the shipped file before the site at this port. Nothing but names and ports is replaced."""
    proxy = Proxy(free_port(), free_port())
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    text = SAMPLE.read_text(encoding="utf-8")
    for old, new in (
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{site};"),
        ("listen 80;", f"listen 127.0.0.1:{proxy.http};"),
        ("listen [::]:80;", ""),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{proxy.https} ssl http2;"),
        ("listen [::]:443 ssl http2;", ""),
        ("/etc/ssl/certs/quiz.example.org.pem", str(certificate)),
        ("/etc/ssl/private/quiz.example.org.key", str(key)),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "site.conf").write_text(text, encoding="utf-8")
    user = "user root;" if os.geteuid() == 0 else ""  # nobody else may enter the tests' folder
    config = folder / "nginx.conf"
    config.write_text(AROUND.format(folder=folder, user=user), encoding="utf-8")
    command = [_nginx(), "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # it goes on as a daemon
    assert done.returncode == 0, done.stderr
    try:
        yield proxy
    finally:
        subprocess.run([*command, "-s", "stop"], check=True, capture_output=True)


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _nginx() -> str | None:
    return shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
