"""Silence what libraries log for developers."""

from __future__ import annotations

import warnings


def libraries() -> None:
    """Silence transformers' logging and Python's warnings for this process."""
    from transformers.utils.logging import set_verbosity_error

    set_verbosity_error()
    warnings.simplefilter("ignore")
