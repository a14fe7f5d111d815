"""Predict a training step: the code that is measured, on tensors without memory."""

from __future__ import annotations

import logging
from contextlib import suppress

from memlab.training.patching import environment

# bitsandbytes, when it is imported, loads torch's compiler, which takes a second and compiles nothing here,
# and tells of kernels that it would rather have.
with suppress(ImportError), environment(TORCHDYNAMO_DISABLE="1"):
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import bitsandbytes  # noqa: F401
