"""What can be set, by variables of the environment, and nowhere else.

================================ ======================================= ====================================
variable                         meaning                                 default
================================ ======================================= ====================================
STEELYARD_SECRET_KEY             signs the cookies                       none; the local server makes its own
STEELYARD_DATABASE_URL           SQLAlchemy's URL of the database; a     SQLite in the data folder
                                 relative path begins at the data folder
STEELYARD_DATA                   folder of the database and the local    `instance/` in a checkout, else the
                                 server's secret                         user's data folder
STEELYARD_QUESTIONS              folder of the questions                 the project's `questions/`
STEELYARD_RESULTS                folder of the published records         the project's `demos/results/`
STEELYARD_PAGES                  folder of the technique pages' text     the project's `demos/pages/`
STEELYARD_DEMOS                  folder of the demo scripts              the project's `demos/`
STEELYARD_PUBLIC                 `1`: strangers reach this site, so      `0`
                                 problems of files are not shown on it
STEELYARD_HTTPS                  `1`: cookies travel only over https     as STEELYARD_PUBLIC
STEELYARD_TRUSTED_HOSTS          host names this site answers to, with   the local machine's names; when
                                 commas between; `.example.org` is       public, it has to be set
                                 all below it
STEELYARD_PROXIES                how many proxies stand before the site; `0`
                                 each has to add to X-Forwarded-For
STEELYARD_EDIT_URL               link to a line of a question's file;    none: the file is only named
                                 `{path}` and `{line}` are filled in
STEELYARD_REPORT_URL             link by which a problem of a question   none
                                 is reported, filled in likewise
STEELYARD_TIMEZONE               the zone in which times are shown, an   none: an exam's as its file has
                                 IANA name such as Asia/Tokyo, until a   them, all others in UTC
                                 browser says in which zone it is
================================ ======================================= ====================================

A public site runs `steelyard serve --public` once, which checks the settings and brings the database up to
date, and then the command that this prints. Several machines share one PostgreSQL (`postgresql://…`). What a
learner and an address may send in a minute (`steelyard.web.app.security`) is counted by each worker for
itself: four workers let up to four times as much through. Behind a proxy every visitor seems to come from the
proxy's address unless STEELYARD_PROXIES says how many there are; one too many, and visitors can name any
address.

A classroom on a local network, without https, sets STEELYARD_HTTPS=0 and names the address that the class
types in STEELYARD_TRUSTED_HOSTS. Whoever can listen on that network can then read along.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkstemp
from typing import Self
from zoneinfo import ZoneInfo

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

PREFIX = "STEELYARD_"
LOCAL_HOSTS = ("127.0.0.1", "localhost")

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


class SettingsError(ValueError):
    """A setting that the site cannot start with; the text says which and what to do."""


@dataclass(frozen=True)
class Settings:
    """Everything that differs between two installations. See the table at the head of this module."""

    data: Path
    questions: Path
    results: Path
    pages: Path
    demos: Path
    database_url: str
    secret_key: str | None = None
    public: bool = False
    https: bool = False
    trusted_hosts: tuple[str, ...] = LOCAL_HOSTS
    proxies: int = 0
    edit_url: str | None = None
    report_url: str | None = None
    timezone: ZoneInfo | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the variables of the table. Raises SettingsError for one that cannot be read."""
        known = {name.upper() for name in cls.__dataclass_fields__}
        if unknown := sorted(
            name for name in environ if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in known
        ):
            raise SettingsError(f"{unknown[0]} is not a setting; see steelyard.settings for those that are")

        def text(name: str) -> str | None:
            return environ.get(PREFIX + name, "").strip() or None

        def folder(name: str, default: Path) -> Path:
            value = text(name)
            return Path(value).expanduser().absolute() if value else default

        def switch(name: str, default: bool) -> bool:
            value = text(name)
            if value is None:
                return default
            if value not in ("0", "1"):
                raise SettingsError(f"{PREFIX}{name} is {value!r}; it can be 0 or 1")
            return value == "1"

        def number(name: str) -> int:
            value = text(name) or "0"
            if not re.fullmatch("[0-9]{1,2}", value):
                raise SettingsError(f"{PREFIX}{name} is {value!r}; it can be a whole number from 0 to 99")
            return int(value)

        shipped = project_data()
        data = folder("DATA", default_data_folder(environ))
        public = switch("PUBLIC", False)
        hosts = tuple(host.strip() for host in (text("TRUSTED_HOSTS") or "").split(",") if host.strip())
        return cls(
            data=data,
            questions=folder("QUESTIONS", shipped / "questions"),
            results=folder("RESULTS", shipped / "demos" / "results"),
            pages=folder("PAGES", shipped / "demos" / "pages"),
            demos=folder("DEMOS", shipped / "demos"),
            database_url=_database_url(text("DATABASE_URL") or sqlite_url(data), data),
            secret_key=text("SECRET_KEY"),
            public=public,
            https=switch("HTTPS", public),
            trusted_hosts=hosts or (() if public else LOCAL_HOSTS),
            proxies=number("PROXIES"),
            edit_url=text("EDIT_URL"),
            report_url=text("REPORT_URL"),
            timezone=_timezone(text("TIMEZONE")),
        )

    def checked(self) -> Self:
        """Return these settings if a site may start with them. Raises SettingsError."""
        if not self.secret_key:
            raise SettingsError(
                f"{PREFIX}SECRET_KEY is not set. It signs the learners' cookies; make one with\n"
                '  python -c "import secrets; print(secrets.token_hex(32))"\n'
                "keep it secret, and keep it the same for every worker."
            )
        if len(self.secret_key) < 16:
            raise SettingsError(f"{PREFIX}SECRET_KEY is shorter than 16 characters and can be guessed")
        if not self.trusted_hosts:
            raise SettingsError(
                f"{PREFIX}TRUSTED_HOSTS is not set: name this site's host names, such as quiz.example.org"
            )
        return self

    def with_local_secret(self) -> Self:
        """Return these settings with a secret, made and kept in the data folder where none is set.

        Raises OSError when it cannot be written, and SettingsError for a folder that cannot be made and for a
        file that holds no secret.
        """
        if self.secret_key:
            return self
        make_private_folder(self.data)
        path = self.data / "secret"
        if not path.exists():
            _write_whole(path, secrets.token_hex(32))
        return replace(self, secret_key=_read_secret(path))


def _write_whole(path: Path, text: str) -> None:
    """Write a file for this account only, whole or not at all; one that is there stays. Raises OSError."""
    descriptor, name = mkstemp(dir=path.parent, prefix=f"{path.name}-")  # 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(name, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            Path(name).replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        Path(name).unlink(missing_ok=True)


def _read_secret(path: Path) -> str:
    """Return the secret in a file. Raises SettingsError, and OSError.

    A file that a full disk or a power cut left empty or in part is named and not replaced: two servers that
    start at once would not agree on the new secret, and whoever wrote a short one by hand wants to know.
    """
    text = path.read_text(encoding="latin-1").strip()
    if not re.fullmatch("[ -~]{16,}", text):
        state = "cut off or damaged" if text else "empty"
        raise SettingsError(
            f"{path} holds no secret: it is {state}, as a full disk leaves a file. Remove it, and the next "
            "start makes a new one; browsers then begin as new visitors."
        )
    return text


def _timezone(name: str | None) -> ZoneInfo | None:
    """Return the zone of an IANA name. Raises SettingsError."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # not known; not a name; the name of a folder of names
        raise SettingsError(
            f"{PREFIX}TIMEZONE is {name!r}; it can be a name of the IANA time zones, such as Asia/Tokyo"
        ) from None


def _database_url(given: str, data: Path) -> str:
    """Return a URL with the driver that is installed, or of a file's whole path. Raises SettingsError."""
    try:
        url = make_url(given)
    except ArgumentError:
        raise SettingsError(
            f"{PREFIX}DATABASE_URL is no database URL, such as postgresql://user:password@host/name"
        ) from None
    name = url.get_backend_name()
    if name in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    elif name != "sqlite":
        raise SettingsError(f"{PREFIX}DATABASE_URL names {name}; it can be SQLite or PostgreSQL")
    elif url.database not in (None, "", ":memory:") and "uri" not in url.query:
        url = url.set(database=(data / str(url.database)).as_posix())
    return url.render_as_string(hide_password=False)


def make_private_folder(folder: Path) -> None:
    """Make a folder, if it is not there, that only this account can enter. Raises SettingsError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"the folder {folder} cannot be made: {error.strerror}. {PREFIX}DATA, or {PREFIX}DATABASE_URL, "
            "says where the data lies"
        ) from None


def project_data() -> Path:
    """Return the folder above `questions/` and `demos/`: the checkout, or the wheel's own copy."""
    if (_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / "questions").is_dir():
        return _CHECKOUT
    return _PACKAGE / "_data"


def default_data_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the database: `instance/` of a checkout, else the user's data folder."""
    if project_data() == _CHECKOUT:
        return _CHECKOUT / "instance"
    if os.name == "nt":
        return Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "steelyard"
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "steelyard"


def sqlite_url(data: Path) -> str:
    """Return the URL of the embedded database in the data folder."""
    return f"sqlite:///{(data / 'steelyard.sqlite3').as_posix()}"
