"""Import what a run needs, before it is needed (`memlab.running.warm`)."""

from __future__ import annotations

import logging

from memlab.running.lifetime import end_with_parent

end_with_parent()

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it tells of kernels that it would rather have

import accelerate  # noqa: E402, F401
import peft  # noqa: E402, F401
import transformers.models.llama.modeling_llama  # noqa: E402, F401

import memlab.measuring.run  # noqa: E402, F401
