"""Settings: from the environment, by one table."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import fields
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import make_url

from steelyard import settings as module
from steelyard.settings import PREFIX, Settings, SettingsError, project_data

DATA = {"STEELYARD_DATA": "/tmp/nowhere"}


def test_every_setting_is_in_the_table_and_every_row_is_a_setting():
    rows = {line.split()[0] for line in (module.__doc__ or "").splitlines() if line.startswith(PREFIX)}

    assert rows == {PREFIX + field.name.upper() for field in fields(Settings)}


def test_a_checkout_reads_its_own_folders():
    found = Settings.from_environment(DATA)

    assert found.questions == project_data() / "questions"
    assert found.results == project_data() / "demos" / "results"
    assert found.database_url == "sqlite:////tmp/nowhere/steelyard.sqlite3"
    assert found.secret_key is None


def test_a_wheel_reads_its_own_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHECKOUT", tmp_path)
    found = Settings.from_environment({"XDG_DATA_HOME": str(tmp_path)})

    assert found.questions == Path(module.__file__).parent / "_data" / "questions"
    assert found.demos == Path(module.__file__).parent / "_data" / "demos"


def test_every_variable_is_read():
    found = Settings.from_environment(
        {
            "STEELYARD_SECRET_KEY": "s" * 32,
            "STEELYARD_DATABASE_URL": "postgresql+psycopg://db/steelyard",
            "STEELYARD_DATA": "/data",
            "STEELYARD_QUESTIONS": "/questions",
            "STEELYARD_RESULTS": "/results",
            "STEELYARD_PAGES": "/pages",
            "STEELYARD_DEMOS": "/demos",
            "STEELYARD_PUBLIC": "1",
            "STEELYARD_HTTPS": "0",
            "STEELYARD_TRUSTED_HOSTS": "a.example, b.example",
            "STEELYARD_PROXIES": "1",
            "STEELYARD_EDIT_URL": "https://a.example/{path}",
            "STEELYARD_REPORT_URL": "https://a.example/new",
            "STEELYARD_TIMEZONE": "Asia/Tokyo",
        }
    )

    assert found == Settings(
        data=Path("/data"),
        questions=Path("/questions"),
        results=Path("/results"),
        pages=Path("/pages"),
        demos=Path("/demos"),
        database_url="postgresql+psycopg://db/steelyard",
        secret_key="s" * 32,
        public=True,
        https=False,
        trusted_hosts=("a.example", "b.example"),
        proxies=1,
        edit_url="https://a.example/{path}",
        report_url="https://a.example/new",
        timezone=ZoneInfo("Asia/Tokyo"),
    )


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"STEELYARD_PUBLIC": "yes"}, "can be 0 or 1"),
        ({"STEELYARD_PROXIES": "-1"}, "whole number"),
        ({"STEELYARD_QUESTION": "/x"}, "STEELYARD_QUESTION is not a setting"),
        ({"STEELYARD_DATABASE_URL": "nonsense"}, "STEELYARD_DATABASE_URL"),
        ({"STEELYARD_DATABASE_URL": "mysql://x/y"}, "SQLite or PostgreSQL"),
    ],
)
def test_what_cannot_be_read_is_named(variables, words):
    with pytest.raises(SettingsError, match=words):
        Settings.from_environment({**DATA, **variables})


@pytest.mark.parametrize(
    "name",
    ["Tokyo", "UTC+9", "+09:00", "Europe", "../../etc/passwd", "/etc/localtime", "日本", "A" * 5000, "A\0"],
)
def test_a_time_zone_that_is_none_is_refused_in_one_line(name):
    with pytest.raises(SettingsError, match=r"^STEELYARD_TIMEZONE is .*Asia/Tokyo$"):
        Settings.from_environment({**DATA, "STEELYARD_TIMEZONE": name})


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_plain_postgresql_address_gets_the_driver_that_is_installed(scheme):
    found = Settings.from_environment({**DATA, "STEELYARD_DATABASE_URL": f"{scheme}://u:p@db/steelyard"})

    assert found.database_url == "postgresql+psycopg://u:p@db/steelyard"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:///site.sqlite3", "sqlite:////tmp/nowhere/site.sqlite3"),
        ("sqlite:////srv/site.sqlite3", "sqlite:////srv/site.sqlite3"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:///file:site?mode=ro&uri=true", "sqlite:///file:site?mode=ro&uri=true"),
    ],
)
def test_the_relative_path_of_an_sqlite_file_begins_at_the_data_folder(given, expected):
    """Which the site makes for itself alone."""
    found = Settings.from_environment({**DATA, "STEELYARD_DATABASE_URL": given})

    assert make_url(found.database_url) == make_url(expected)


def test_a_public_site_has_no_hosts_until_told_and_keeps_cookies_to_https():
    found = Settings.from_environment({**DATA, "STEELYARD_PUBLIC": "1"})

    assert (found.trusted_hosts, found.https) == ((), True)


def test_the_local_secret_is_made_once_and_for_its_owner_only(tmp_path):
    plain = Settings.from_environment({"STEELYARD_DATA": str(tmp_path / "data")})
    first, second = plain.with_local_secret(), plain.with_local_secret()
    mode = (tmp_path / "data" / "secret").stat().st_mode

    assert first.secret_key == second.secret_key
    assert len(first.secret_key or "") == 64
    assert stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["secret"]


@pytest.mark.parametrize("without_links", [False, True])
def test_a_disk_that_is_full_leaves_no_secret_behind_and_the_next_start_makes_one(
    tmp_path, monkeypatch, without_links
):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    plain = Settings.from_environment({"STEELYARD_DATA": str(tmp_path)})
    with monkeypatch.context() as patch, pytest.raises(OSError, match=r"No space left.*secret"):
        patch.setattr(os, "fsync", full)
        plain.with_local_secret()
    left = list(tmp_path.iterdir())
    if without_links:
        monkeypatch.setattr(os, "link", refuse)

    assert left == []
    assert plain.with_local_secret().secret_key == plain.with_local_secret().secret_key
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_of_two_first_starts_both_have_the_secret_that_was_there_first(tmp_path, monkeypatch):
    plain = Settings.from_environment({"STEELYARD_DATA": str(tmp_path)})
    link = os.link

    def late(name, path):
        monkeypatch.setattr(os, "link", link)
        others.append(plain.with_local_secret())
        link(name, path)

    others: list[Settings] = []
    monkeypatch.setattr(os, "link", late)
    mine = plain.with_local_secret()

    assert [mine.secret_key] == [other.secret_key for other in others]
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"0123456789abcde\n", "cut off"),
        (bytes(64), "damaged"),  # what a power cut can leave of a file
        ("schl\u00fcssel-zum-haus".encode(), "damaged"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_and_left_alone(tmp_path, content, words):
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(SettingsError, match=words) as refused:
        Settings.from_environment({"STEELYARD_DATA": str(tmp_path)}).with_local_secret()

    assert str(tmp_path / "secret") in str(refused.value) and "Remove it" in str(refused.value)
    assert (tmp_path / "secret").read_bytes() == content


def test_a_secret_that_somebody_wrote_by_hand_is_taken(tmp_path):
    (tmp_path / "secret").write_text("correct horse battery staple\n", encoding="ascii")
    found = Settings.from_environment({"STEELYARD_DATA": str(tmp_path)}).with_local_secret()

    assert found.secret_key == "correct horse battery staple"
