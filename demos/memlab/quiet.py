"""Keep out of the user's sight what libraries say to one another's authors."""

from __future__ import annotations

import logging
import warnings


def libraries() -> None:
    """Silence their warnings (of what is to change, of kernels that they lack) while the process lasts."""
    from transformers.utils.logging import set_verbosity_error

    set_verbosity_error()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
