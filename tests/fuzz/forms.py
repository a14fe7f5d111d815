"""Requests that no page of ours sends: long and many fields, odd encodings, NULs, addresses of nothing. None is a 500."""

from __future__ import annotations

import atexit
import random
import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote_from_bytes

from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from bank_files import write_bank
from fuzz.trial import Trial, attempt
from instructing import instructor, join
from records import make_record
from steelyard import passwords
from steelyard.settings import Settings, project_data, sqlite_url
from steelyard.web import create_app
from steelyard.web.app.database import migrate
from steelyard.web.app.security import limiter

WORDS = [
    b"",
    b"A",
    b"practice",
    b"exam",
    b"0",
    b"-1",
    b"1e999",
    b"9" * 5000,
    b"NaN",
    b"\x00",
    b"a\x00b",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"\xe2\x80\xae",
    b"%00",
    b"%ED%A0%80",
    b"%",
    b"../../etc/passwd",
    b"//example.org",
    b"\r\nX: y",
    b"<script>",
    b"' OR 1=1 --",
    b"\x1b[0m",
    b"ja",
    b"xx",
    b"1" * 63,
    b"a" * 20_000,
    b"\xe3\x81\x82" * 3000,
    b"2027-01-15T09:00",
    b"[]",
    b"{}",
    b"[" * 3000,
    b"\xc2\x85",
    b"\xef\xbc\xa1",
]
NAMES = (
    b"csrf_token mode attempt version choice guess nonce answers position pseudonym name password next code minutes extra "
    b"percent learner confirm lang token seconds batch seq precision config demo model gpu device technique tz time_zone "
    b"theme q sort page work against quiz language format shown draft hand_in flag"
).split()
TYPES = [
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-16",
    "application/json",
    "text/plain",
    "multipart/form-data",
    "multipart/form-data; boundary=" + "x" * 300,
    "",
    "\u00e9/\u00e9",
]


@dataclass(frozen=True)
class Site:
    """A site with a learner, an instructor and a stranger, each with a token and the addresses that they can reach."""

    visitors: tuple[tuple[FlaskClient, str], ...]
    addresses: tuple[str, ...]


@lru_cache(1)
def site() -> Site:
    """Return the site of this process."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    write_bank(folder / "questions")
    for technique in ("lora", "baseline"):
        make_record(technique, peak=1000).write(folder / "results" / "cpu")
    app = create_app(
        Settings(
            data=folder / "data",
            questions=folder / "questions",
            results=folder / "results",
            pages=project_data() / "demos" / "pages",
            demos=project_data() / "demos",
            database_url=sqlite_url(folder / "data"),
            secret_key="a secret for tests only",
            trusted_hosts=("localhost",),
        )
    )
    app.testing = True  # what is raised is told with its name, not as a page
    migrate(app)
    ada = instructor(app)
    code = ada.create_class()
    member = join(app, code, "anna")
    page = member.start("basics")
    exam = member.start("basics", "exam")
    attempts = {
        found[1]
        for each in (page, exam)
        if (found := re.search(r"attempt=([0-9a-f]+)", each.url + each.action))
    }
    stranger = app.test_client()
    visitors = tuple((client, _token(client)) for client in (member.client, ada.client, stranger))
    return Site(visitors, tuple(_addresses(app, code, [*attempts, "0" * 32])))


def _token(client: FlaskClient) -> str:
    found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', client.get("/quizzes/basics").text)
    return found[1] if found else ""


def _addresses(app: Flask, code: str, attempts: list[str]) -> list[str]:
    """Return every rule's address, with values that exist in place of its variables."""
    values = {
        "question_id": "basics/first",
        "slug": "basics",
        "code": code,
        "name": "lora",
        "technique": "lora",
    }
    found = []
    for rule in app.url_map.iter_rules():
        for each in attempts:
            values["attempt_id"] = each
            found.append(re.sub(r"<(?:\w+:)?(\w+)>", lambda match: values.get(match[1], "0" * 32), rule.rule))
    return sorted(set(found))


def try_request(random: random.Random) -> Trial:
    """Send one request: the outcome is the kind of its status, and 500 or anything raised a complaint."""
    address = random.choice(site().addresses).encode()
    if random.random() < 0.2:
        parts = address.split(b"/")
        parts[random.randrange(len(parts))] = random.choice(WORDS)[:2000]
        address = b"/".join(parts)
    query = b"&".join(_field(random) for _ in range(random.choice([0, 0, 1, 3])))[:6000]
    fields = [_field(random) for _ in range(random.choice([0, 1, 3, 8, 30, 300]))]
    body = b"&".join(fields) if random.random() < 0.9 else random.randbytes(500)
    client, token = random.choice(site().visitors)
    headers = {"X-CSRFToken": token} if random.random() < 0.9 else {}
    headers["Accept-Language"] = random.choice(["ja", "en", "*;q=x", "\u00ff", "en," * 2000])
    headers["Cookie" if random.random() < 0.05 else "Range"] = random.choice(
        ["bytes=0-", "steelyard=x", "a=\u00ff;;="]
    )
    method = random.choice(["POST", "POST", "GET", "HEAD", "PUT", "OPTIONS"])
    kind = TYPES[0] if random.random() < 0.8 else random.choice(TYPES)
    data = b" ".join([method.encode(), address, query, kind.encode(), body])

    def judge() -> tuple[str, list[str]]:
        limiter.reset()  # or all but the first requests of a minute would be answered 429
        url = quote_from_bytes(address, safe="/%") + "?" + quote_from_bytes(query, safe="=&%+")
        answer = client.open(url, method=method, data=body, content_type=kind or None, headers=headers)
        complaints = [f"{method} {url[:200]} answers {answer.status}"] if answer.status_code >= 500 else []
        return f"{answer.status_code // 100}xx", complaints

    return attempt(data, judge)


def _field(random: random.Random) -> bytes:
    name = random.choice(NAMES) if random.random() < 0.9 else random.choice(WORDS)[:300]
    value = random.choice(WORDS)
    if random.random() < 0.7:
        value = quote_from_bytes(value).encode()
    return name + b"=" + value
