"""`steelyard instructor …`: who may see classes and statistics."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from steelyard.cli.words import printable, settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@click.group()
def instructor() -> None:
    """Add, list and remove instructors, and change their passwords.

    An instructor logs in on the site's /instructor, and there makes classes and reads statistics.
    """


_password = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of standard input."
)


@instructor.command()
@click.argument("name")
@_password
def add(name: str, password_stdin: bool) -> None:
    """Add the instructor NAME, and ask for a password of at least 12 characters."""
    from steelyard.passwords import hash_password
    from steelyard.store import instructors

    account = instructors.account(name)
    if not instructors.NAME.fullmatch(account):
        raise click.ClickException(
            f"{printable(name)} cannot be a name: that takes up to 60 letters a–z, digits, and . _ - @, "
            "the first a letter or a digit"
        )
    with _store() as session:
        if instructors.password_of(session, account) is not None:
            raise click.ClickException(
                f"{account} is there already; steelyard instructor password {account} changes the password"
            )
        hashed = _asked(password_stdin, hash_password)
        if not instructors.add_instructor(session, name=account, password=hashed, now=datetime.now(UTC)):
            raise click.ClickException(f"{account} is there already")
    click.echo(f"{account} can log in now.")


@instructor.command()
@click.argument("name")
@_password
def password(name: str, password_stdin: bool) -> None:
    """Change the password of the instructor NAME, and log them out everywhere."""
    from steelyard.passwords import hash_password
    from steelyard.store import instructors

    account = instructors.account(name)
    with _store() as session:
        if instructors.password_of(session, account) is None:
            raise _nobody(account)
        instructors.set_password(session, account, _asked(password_stdin, hash_password))
    click.echo(f"{account} has a new password, and is logged out everywhere.")


@instructor.command(name="list")
def list_all() -> None:
    """List the instructors, one per line: name, day of creation (UTC), number of classes."""
    from steelyard.store import instructors

    with _store() as session:
        for account in instructors.instructors(session):
            classes = f"{account.classes} class{'' if account.classes == 1 else 'es'}"
            click.echo(f"{account.name}\t{account.created:%Y-%m-%d}\t{classes}")


@instructor.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Remove the instructor NAME and their classes. What the classes' learners answered stays theirs."""
    from steelyard.store import classes, instructors

    account = instructors.account(name)
    with _store() as session:
        if instructors.password_of(session, account) is None:
            raise _nobody(account)
        groups = classes.groups_of(session, account)
        if groups and not yes:
            named = ", ".join(printable(group.name) for group in groups)
            click.confirm(f"Their classes go too: {named}. Remove {account}?", abort=True)
        instructors.remove_instructor(session, account)
    click.echo(f"{account} is removed.")


def _nobody(account: str) -> click.ClickException:
    return click.ClickException(
        f"there is no instructor {printable(account)}; steelyard instructor list shows who there is"
    )


def _asked(from_stdin: bool, hash_password: Callable[[str], str]) -> str:
    """Return the hash of a password that a person types twice, or a program sends once."""
    if from_stdin:
        typed = sys.stdin.readline().rstrip("\r\n")
    else:
        typed = click.prompt("Password", hide_input=True, confirmation_prompt="Once more")
    try:
        return hash_password(typed)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _store() -> Iterator[Session]:
    """Give a session on the site's database, brought up to date, and commit what was done in it."""
    from sqlalchemy.exc import SQLAlchemyError

    from steelyard.settings import SettingsError
    from steelyard.web import create_app
    from steelyard.web.app.database import db, migrate

    try:
        app = create_app(settings().with_local_secret())
        migrate(app)
        with app.app_context():
            yield db.session
            db.session.commit()
            db.engine.dispose()
    except (SettingsError, OSError) as error:
        raise click.ClickException(str(error)) from None
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip()
        raise click.ClickException(f"the database cannot be used: {reason}") from None
