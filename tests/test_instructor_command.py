"""`steelyard instructor …`: making, listing and removing instructors from the command line."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from steelyard.cli import main
from steelyard.passwords import matches

PASSWORD = "correct horse battery"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `steelyard instructor …` over an empty data folder; `typed` is what a person or a program sends."""
    monkeypatch.setenv("STEELYARD_DATA", str(tmp_path))
    return lambda *words, typed="": CliRunner().invoke(main, ["instructor", *words], input=typed)


def test_an_instructor_is_added_on_an_empty_machine_and_listed(run):
    added = run("add", "Ada", typed=f"{PASSWORD}\n{PASSWORD}\n")

    assert (added.exit_code, "ada can log in now." in added.output) == (0, True)
    assert PASSWORD not in added.output
    name, _, classes = run("list").output.strip().split("\t")
    assert (name, classes) == ("ada", "0 classes")


def test_a_program_sends_the_password_once(run, tmp_path):
    from sqlalchemy import create_engine, text

    assert run("add", "ada", "--password-stdin", typed=f"{PASSWORD}\nmore\n").exit_code == 0
    engine = create_engine(f"sqlite:///{tmp_path / 'steelyard.sqlite3'}")
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT password FROM instructors")).scalar_one()
    engine.dispose()

    assert stored.startswith("$argon2id$") and matches(PASSWORD, stored)


def test_two_passwords_that_differ_are_asked_for_again(run):
    result = run("add", "ada", typed=f"{PASSWORD}\nother\n{PASSWORD}\n{PASSWORD}\n")

    assert result.exit_code == 0
    assert "do not match" in result.output


@pytest.mark.parametrize("password", ["", "short", "elevenchars"])
def test_a_short_password_is_refused_and_nobody_is_added(run, password):
    result = run("add", "ada", "--password-stdin", typed=f"{password}\n")

    assert result.exit_code == 1
    assert "at least 12" in result.output and "Traceback" not in result.output
    assert run("list").output == ""


@pytest.mark.parametrize("name", ["", " ", "-x", "a b", "ä", "x" * 61, "\x1b[2J"])
def test_a_name_that_cannot_be_typed_anywhere_is_refused(run, name):
    result = run("add", "--password-stdin", "--", name, typed=f"{PASSWORD}\n")

    assert result.exit_code == 1 and "cannot be a name" in result.output
    assert "\x1b" not in result.output


def test_a_taken_name_is_refused_with_the_way_to_a_new_password(run):
    run("add", "ada", "--password-stdin", typed=f"{PASSWORD}\n")
    result = run("add", "ADA", "--password-stdin", typed=f"{PASSWORD} other\n")

    assert result.exit_code == 1
    assert "steelyard instructor password ada" in result.output


def test_a_password_is_changed_and_an_instructor_removed(run):
    run("add", "ada", "--password-stdin", typed=f"{PASSWORD}\n")
    changed = run("password", "ada", "--password-stdin", typed="another good password\n")
    removed = run("remove", "ada")

    assert (changed.exit_code, removed.exit_code) == (0, 0)
    assert "logged out everywhere" in changed.output
    assert run("list").output == ""


@pytest.mark.parametrize("words", [("password", "eve"), ("remove", "eve")])
def test_who_does_not_exist_is_named(run, words):
    result = run(*words, typed=f"{PASSWORD}\n{PASSWORD}\n")

    assert result.exit_code == 1
    assert "there is no instructor eve" in result.output


def test_a_database_that_does_not_answer_is_said_in_one_line(run, monkeypatch):
    monkeypatch.setenv("STEELYARD_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    result = run("list")

    assert result.exit_code == 1
    assert "the database cannot be used" in result.output and "Traceback" not in result.output
