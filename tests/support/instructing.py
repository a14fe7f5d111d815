"""An instructor for tests: made in the store, logs in through the form, makes a class."""

from __future__ import annotations

from functools import lru_cache

from flask import Flask

from learner import Learner, Page
from steelyard.passwords import hash_password
from steelyard.store import instructors
from steelyard.web.app import clock
from steelyard.web.app.database import db

PASSWORD = "correct horse battery staple"


@lru_cache
def hashed(password: str) -> str:
    """Hashing is slow on purpose; once is enough for all tests."""
    return hash_password(password)


def add_instructor(app: Flask, name: str = "ada") -> None:
    with app.app_context():
        instructors.add_instructor(db.session, name=name, password=hashed(PASSWORD), now=clock.now())
        db.session.commit()


class Instructor(Learner):
    """A browser in which an instructor logs in."""

    def send(self, page: Page, url: str, **fields: str) -> Page:
        """Send a form of a page, with its token and these fields."""
        data = {"csrf_token": page.hidden["csrf_token"], **fields}
        return Page(self.client.post(url, data=data, follow_redirects=True))

    def log_in(self, name: str = "ada", password: str = PASSWORD, next: str | None = None) -> Page:
        page = self.get("/instructor/login")
        fields = {"name": name, "password": password} | ({"next": next} if next is not None else {})
        return self.send(page, "/instructor/login", **fields)

    def create_class(self, name: str = "Spring") -> str:
        """Create a class and return its code."""
        page = self.send(self.get("/instructor"), "/instructor/classes", name=name)
        return page.path.rpartition("/")[2]


def instructor(app: Flask, name: str = "ada") -> Instructor:
    """Return an instructor who is logged in."""
    add_instructor(app, name)
    found = Instructor(app)
    assert found.log_in(name).status == 200
    return found


def join(app: Flask, code: str, pseudonym: str) -> Instructor:
    """Return a learner who has joined a class."""
    learner = Instructor(app)
    page = learner.send(learner.get(f"/join/{code}"), f"/join/{code}", pseudonym=pseudonym)
    assert pseudonym in page.text
    return learner
