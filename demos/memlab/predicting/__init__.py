"""Predict a training step: the code that is measured, on tensors without memory."""

from __future__ import annotations

import logging
from contextlib import suppress

from memlab.training.patching import environment

# Importing bitsandbytes loads torch's compiler, which takes a second and compiles nothing here, and logs
# warnings about kernels that are not installed.
with suppress(ImportError), environment(TORCHDYNAMO_DISABLE="1"):
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import bitsandbytes  # noqa: F401
