"""Before the answer, nothing that leaves the server depends on the key or on the feedback."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import pytest
from flask import Flask

from bank_files import question_text
from learner import Page
from records import make_record
from steelyard.settings import Settings, sqlite_url

ATTEMPT = "0123456789abcdef" * 2


class _Still(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime(2027, 1, 1, tzinfo=tz)


@pytest.fixture(autouse=True)
def _chance_and_clock_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.urandom", lambda size: bytes(size))
    monkeypatch.setattr("secrets.token_hex", lambda size: ("0123456789abcdef" * size)[: 2 * size])
    monkeypatch.setattr("secrets.token_urlsafe", lambda size: ATTEMPT)
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    monkeypatch.setattr("steelyard.web.app.clock.now", lambda: datetime(2027, 1, 1, tzinfo=UTC))
    for module in ("flask.sessions", "werkzeug.http"):
        monkeypatch.setattr(f"{module}.datetime", _Still)


@dataclass
class Visitor:
    """Visits every route as far as it goes without an answer, and keeps all that comes back."""

    app: Flask
    seen: dict[str, tuple[int, list[tuple[str, str]], bytes]] = field(default_factory=dict)
    endpoints: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()

    def visit(self, method: str, url: str, **fields: str) -> Page:
        response = self.client.open(url, method=method, data=fields or None, buffered=True)
        headers = sorted(response.headers)
        self.seen[f"{len(self.seen)} {method} {url}"] = response.status_code, headers, response.data
        path = url.partition("?")[0]
        if response.status_code != 405 and not path.startswith("/nowhere"):
            endpoint, _ = self.app.url_map.bind("localhost").match(path, method=method)
            self.endpoints.add(endpoint)
        return Page(response)

    def question(self, id: str) -> None:
        for url in (f"/questions/{id}", f"/questions/{id}?attempt={ATTEMPT}"):
            page = self.visit("GET", url)
            self.visit("GET", f"{url}{'&' if '?' in url else '?'}lang=ja&theme=dark")
            self.visit("POST", f"/questions/{id}", **page.hidden)
            self.visit("POST", f"/questions/{id}", **page.hidden, choice="Z")
            for letter in "ABCD":
                stale = {**page.hidden, "csrf_token": "stale"}
                self.visit("POST", f"/questions/{id}", **stale, choice=letter)
            self.visit("POST", f"/questions/{id}", **{**page.hidden, "attempt": "none"}, choice="A")
            edited = {**page.hidden, "attempt": "f" * 32, "face": "another"}
            self.visit("POST", f"/questions/{id}", **edited, choice="A")
        for method in ("HEAD", "OPTIONS", "DELETE"):
            self.visit(method, f"/questions/{id}")

    def exam(self) -> None:
        """Take an exam-only quiz and hand it in: neither before nor, until it has closed, after that is it told."""
        start = self.visit("GET", "/quizzes/final")
        asked = self.visit("POST", "/quizzes/final", **start.hidden).response.location
        assert asked, "the exam did not start"
        attempt = asked.partition("attempt=")[2]
        for id in ("final/one", "final/two"):
            url = f"/questions/{id}?attempt={attempt}"
            page = self.visit("GET", url)
            assert page.choices, "the exam does not ask"
            self.visit("GET", f"/questions/{id}")
            self.visit("POST", url, **{**page.hidden, "csrf_token": "stale"}, choice="A")
            for letter in "ABCDZ":
                self.visit("POST", f"/attempts/{attempt}/drafts/{id}", **page.hidden, choice=letter)
                self.visit("POST", url, **page.hidden, choice=letter)
                self.visit("GET", f"{url}&lang=ja")
        sheet = self.visit("GET", f"/attempts/{attempt}")
        self.visit("GET", f"/attempts/{attempt}?confirm=1")
        self.visit("POST", f"/attempts/{attempt}/submit", csrf_token="stale")
        for _ in range(2):
            self.visit("POST", f"/attempts/{attempt}/submit", **sheet.hidden)
        self.visit("POST", f"/attempts/{attempt}/retake", **sheet.hidden)
        self.visit("POST", f"/attempts/{attempt}/drafts/final/one", **page.hidden, choice="B")
        for url in ("/", "/quizzes/final", f"/attempts/{attempt}", asked):
            self.visit("GET", url)

    def data(self) -> None:
        """Look at what is kept of an exam handed in, take it along, and leave: before it has closed."""
        form = self.visit("GET", "/progress").hidden
        for url in ("/progress/export.json", "/progress/export.csv", "/review", "/privacy?lang=ja"):
            self.visit("GET", url)
        self.visit("POST", "/review/take-back", **form, attempt=ATTEMPT)
        self.visit("POST", "/progress/continue", **form)
        link = f"/continue/{ATTEMPT}"
        for method in ("GET", "POST"):
            self.visit(method, link, **form)
        self.visit("POST", "/progress/delete", **form)

    def classes(self) -> None:
        """Look for a class that is not there, and ask for all that instructors see without being one."""
        form = self.visit("GET", "/instructor/login").hidden
        self.visit("GET", "/join?code=2222-2222")
        for url in ("/join/22222222", "/join/22222222/leave", "/instructor/login"):
            self.visit("POST", url, **{**form, "name": "ada", "password": "guessed", "pseudonym": "amber"})
        values = {"code": "22222222", "slug": "quiz"}
        for rule in self.app.url_map.iter_rules():
            for method in sorted((rule.methods or set()) - {"OPTIONS"}):
                if rule.endpoint.startswith(("instructor.", "classes.")):
                    built = rule.build({name: values[name] for name in rule.arguments})
                    assert built is not None
                    self.visit(
                        method, built[1], **({"csrf_token": form["csrf_token"]} if method == "POST" else {})
                    )

    def everything(self) -> None:
        self.visit("GET", "/")
        quiz = self.visit("GET", "/quizzes/quiz")
        self.visit("POST", "/quizzes/quiz", **quiz.hidden)
        for id in ("quiz/one", "quiz/two"):
            self.question(id)
            self.visit("GET", f"/media/{id}.en.md")
        pages = ("/techniques", "/techniques/lora", "/compare")
        for url in ("/", "/quizzes/quiz", f"/attempts/{ATTEMPT}", *pages):
            self.visit("GET", url)
            self.visit("GET", f"{url}?lang=ja")
        self.exam()
        self.data()
        self.classes()
        for url in (f"/runs/{_run(self.app)}", "/results.schema.json", "/static/css/base.css", "/healthz"):
            self.visit("GET", url)
        self.visit("GET", "/nowhere")
        for rule in self.app.url_map.iter_rules():  # whatever sums up what was done, with an exam handed in
            if not rule.arguments and "GET" in (rule.methods or ()):
                self.visit("GET", rule.rule)
        missed = {rule.endpoint for rule in self.app.url_map.iter_rules()} - self.endpoints
        assert not missed, f"visit these too: {missed}"


def _run(app: Flask) -> str:
    return next(iter(app.extensions["steelyard"].records.by_id))


@pytest.fixture
def sent(settings: Settings, make_app, tmp_path: Path) -> Callable[..., dict]:
    """A function from two keys, feedback and explanation to everything that a site over such a bank sends."""

    def sent(
        keys: tuple[str, str],
        feedback: str = "Said of {letter}.",
        explanation: str = "Why.",
        *,
        title: str = "",
    ) -> dict:
        root = tmp_path / f"bank{len(list(tmp_path.iterdir()))}"
        for name, key in zip(("quiz/one", "quiz/two", "final/one", "final/two"), keys * 2, strict=True):
            (root / "questions" / name).parent.mkdir(parents=True, exist_ok=True)
            said = {letter: feedback.format(letter=letter) for letter in "ABCD"}
            type = "multiple" if name.endswith("one") else "single"
            text = question_text(
                name + title,
                key=key,
                feedback=said,
                explanation=explanation,
                type=type,
                scoring="each-answer",
            )
            (root / "questions" / f"{name}.en.md").write_text(text, encoding="utf-8")
        final = "---\nexam: only\nminutes: 30\ncloses: 2027-01-02T00:00Z\n---\n# The final\n"
        (root / "questions" / "final" / "_quiz.en.md").write_text(final, encoding="utf-8")
        for technique, peak in (("baseline", 1000), ("lora", 750)):
            make_record(technique, peak=peak).write(root / "results" / "cpu")
        place = {"data": root, "questions": root / "questions", "results": root / "results"}
        app = make_app(replace(settings, database_url=sqlite_url(root), **place))
        assert not [problem for problem in app.extensions["steelyard"].bank.problems if problem.is_error]
        visitor = Visitor(app)
        visitor.everything()
        return visitor.seen

    return sent


def assert_alike(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for name, response in first.items():
        assert response == second[name], name


@pytest.mark.parametrize(
    ("keys", "others"),
    [
        (("A, C", "A"), ("B, D", "D")),
        (("A, B", "B"), ("C, D", "C")),
        (("A, B, C", "A"), ("B, C, D", "B")),
        (("A, B, C, D", "A"), ("A, B, C, D", "C")),
        (("A", "A"), ("D", "D")),
    ],
)
def test_banks_that_differ_in_the_key_send_the_same_bytes(sent, keys, others):
    assert_alike(sent(keys), sent(others))


def test_banks_that_differ_in_feedback_and_explanation_send_the_same_bytes(sent):
    keys = ("A, C", "A")
    longer = (
        "A longer text about {letter}, with [a link](#a-claim) and `code`.\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    )

    assert_alike(sent(keys), sent(keys, longer, "Another explanation, [25 %](#a-claim).\n\n$x^2$"))


def test_the_comparison_sees_what_differs(sent):
    visible = sent(("A, C", "A"), title="seen")

    with pytest.raises(AssertionError):
        assert_alike(sent(("A, C", "A")), visible)
