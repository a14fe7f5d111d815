"""No accident to its files opens an exam: its folder is damaged at random while visitors look."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from exam_files import CLOSES, Clock, attempt_of, hand_in, write_exams
from learner import Learner
from steelyard.settings import Settings
from steelyard.web.app.database import migrate

DAMAGES = int(os.environ.get("EXAM_DAMAGES", "25"))
SECRETS = ("Final one", "Final two", "Final three", "最終一", "Feedback on A of F", "Choice A of F")
EVERYWHERE = ("/", "/techniques/lora", "/quizzes/final", "/quizzes/basics", "/review", "/progress")

Steps = Iterator[None]
Damage = Callable[[random.Random, Path], Steps]
"""Damages a folder step by step; between its steps somebody may look."""


def _file(draw: random.Random, folder: Path) -> Path:
    """Return a file of the folder, every other time a description."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    described = [path for path in files if path.name.startswith("_quiz")]
    return draw.choice(described if described and draw.random() < 0.5 else files)


def truncate(draw: random.Random, folder: Path) -> Steps:
    path = _file(draw, folder)
    path.write_bytes(path.read_bytes()[: draw.randrange(path.stat().st_size or 1)])
    yield


def lose_the_beginning(draw: random.Random, folder: Path) -> Steps:
    path = _file(draw, folder)
    path.write_bytes(path.read_bytes()[draw.randrange(path.stat().st_size or 1) :])
    yield


def empty(draw: random.Random, folder: Path) -> Steps:
    _file(draw, folder).write_bytes(draw.choice((b"", b"\n", b"\0" * 300, b"\xef\xbb\xbf")))
    yield


def rename(draw: random.Random, folder: Path) -> Steps:
    path = _file(draw, folder)
    names = (
        f"{path.name}.bak",
        path.name.replace(".en.", ".fr."),
        path.name.replace("_quiz", "quiz"),
        "x.en.md",
    )
    path.rename(folder / draw.choice(names))
    yield


def rename_the_folder(draw: random.Random, folder: Path) -> Steps:
    folder.rename(folder.with_name(draw.choice(("final-old", "moved", "Final"))))
    yield


def rename_the_folder_without_its_description(draw: random.Random, folder: Path) -> Steps:
    for path in folder.glob("_quiz*"):
        path.unlink()
        yield
    yield from rename_the_folder(draw, folder)


def move_into_a_folder_within(draw: random.Random, folder: Path) -> Steps:
    within = folder / "old"
    within.mkdir(exist_ok=True)
    for path in sorted(folder.glob("*.md")):
        if not path.name.startswith("_quiz") or draw.random() < 0.2:
            path.rename(within / path.name)
            yield


def recode(draw: random.Random, folder: Path) -> Steps:
    path = _file(draw, folder)
    text = path.read_bytes().decode(errors="replace")
    path.write_bytes(text.encode(draw.choice(("utf-16", "utf-16-le", "utf-32", "cp037")), errors="replace"))
    yield


def write_in_place(draw: random.Random, folder: Path) -> Steps:
    path = _file(draw, folder)
    data = path.read_bytes()
    path.write_bytes(b"")
    yield
    for end in sorted(draw.randrange(len(data) or 1) for _ in range(3)):
        path.write_bytes(data[:end])
        yield
    path.write_bytes(data)
    yield


def delete(draw: random.Random, folder: Path) -> Steps:
    _file(draw, folder).unlink()
    yield


def delete_the_folder(_draw: random.Random, folder: Path) -> Steps:
    shutil.rmtree(folder)
    yield


def lead_nowhere(draw: random.Random, folder: Path) -> Steps:
    path = _file(draw, folder)
    path.unlink()
    path.symlink_to(folder / "nowhere")
    yield


def swap(draw: random.Random, folder: Path) -> Steps:
    one, other = _file(draw, folder), _file(draw, folder)
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    yield
    other.write_bytes(contents[0])
    yield


def swap_by_renaming(draw: random.Random, folder: Path) -> Steps:
    one, other, aside = _file(draw, folder), _file(draw, folder), folder / "aside"
    for of, to in ((one, aside), (other, one), (aside, other)):
        if of.exists():
            of.rename(to)
        yield


def misspell(draw: random.Random, folder: Path) -> Steps:
    path = folder / "_quiz.en.md"
    if path.exists():
        text = path.read_text(encoding="utf-8", errors="replace")
        wrong = draw.choice(("exma: only", "exam: onyl", "exam only", "# exam: only", "exam:", "Exam: Only"))
        path.write_text(text.replace("exam: only", wrong), encoding="utf-8")
    yield


def take_the_root_away(_draw: random.Random, folder: Path) -> Steps:
    root = folder.parent
    root.rename(root.with_name("away"))
    yield
    root.with_name("away").rename(root)
    yield


ALL: tuple[Damage, ...] = (
    truncate, lose_the_beginning, empty, rename, rename_the_folder, rename_the_folder_without_its_description,
    move_into_a_folder_within, recode, write_in_place, delete, delete_the_folder, lead_nowhere, swap,
    swap_by_renaming, misspell, take_the_root_away,
)  # fmt: skip


def secrets_in(learner: Learner, app: Flask, mine: str | None = None) -> list[str]:
    """Return what a visitor sees of the exam, at every address that the damaged bank has and some more."""
    bank = app.extensions["steelyard"].bank
    urls = [*EVERYWHERE, *(f"/quizzes/{slug}" for slug in bank.quizzes)]
    urls += [f"/questions/{question}" for question in {*bank.questions, *bank.broken, "final/one"}]
    if mine:
        urls += [f"/attempts/{mine}", f"/questions/final/one?attempt={mine}"]
    seen = [(url, learner.get(url).response.text) for url in urls if "first" not in url]
    for path in bank.root.rglob("*.svg"):
        with learner.client.get(f"/media/{path.relative_to(bank.root)}") as response:
            if path.name != "free.svg" and response.status_code != 404:
                seen.append((path.name, SECRETS[0]))
    return [f"{url}: {word}" for url, text in seen for word in SECRETS if word in text]


@pytest.fixture
def exam(settings: Settings, make_app, clock: Clock) -> tuple[Flask, Path]:
    write_exams(settings.questions)
    folder = settings.questions / "final"
    (folder / "_quiz.ja.md").write_text("---\norder: [one, two, three]\n---\n# 期末\n", encoding="utf-8")
    (folder / "key.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
    return make_app(settings), folder


@pytest.mark.slow
def test_no_damage_of_its_folder_shows_anything_of_an_exam_before_its_time(exam, settings, clock):
    app, folder = exam
    taker = Learner(app)
    page = taker.start("final", "exam")
    attempt = attempt_of(page)
    hand_in(taker, attempt, confirmed="yes")
    whole = folder.parent.with_name("whole")
    shutil.copytree(folder.parent, whole)
    draw = random.Random(12)
    live = app.extensions["steelyard"].live_bank

    for number in range(DAMAGES):
        for damage in draw.sample(ALL, draw.choice((1, 1, 2))):
            if not any(folder.rglob("*")):
                break
            for _ in damage(draw, folder):
                live.refresh()
                assert secrets_in(Learner(app), app) == [], (number, damage.__name__)
        assert secrets_in(taker, app, attempt) == [], number
        if number % 10 == 0:  # a server that starts in this very moment
            anew = make_another(settings)
            assert secrets_in(Learner(anew), anew) == [], number
        for path in folder.parent.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(whole, folder.parent, dirs_exist_ok=True)
        live.refresh()
    assert Learner(app).start("final", "exam").path == "/questions/final/one"
    clock.moment = CLOSES + timedelta(minutes=1)
    assert "of 3" in taker.get(f"/attempts/{attempt}").text


def make_another(settings: Settings) -> Flask:
    from steelyard.web import create_app

    app = create_app(replace(settings))
    migrate(app)
    return app
