"""Silence what libraries log and warn about."""

from __future__ import annotations

import warnings


def silence() -> None:
    """Silence transformers' logging and Python's warnings for this process."""
    from transformers.utils.logging import set_verbosity_error

    set_verbosity_error()
    warnings.simplefilter("ignore")
