"""Keep out of the user's sight what libraries say to one another's authors."""

from __future__ import annotations

import warnings


def libraries() -> None:
    """Silence their warnings while the process lasts; bitsandbytes' are silent since `memlab.predict`."""
    from transformers.utils.logging import set_verbosity_error

    set_verbosity_error()
    warnings.simplefilter("ignore")
