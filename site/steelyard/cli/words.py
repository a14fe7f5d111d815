"""What several commands say and ask in the same way."""

from __future__ import annotations

import click

from steelyard.settings import Settings, SettingsError


def settings() -> Settings:
    """Return the settings of the environment, or end the command with what is wrong in them."""
    try:
        return Settings.from_environment()
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def printable(text: str) -> str:
    """Return `text` with everything that a terminal might obey written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
