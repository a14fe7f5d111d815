"""Ask for a prediction of any model: its config.json goes to the demo as a file of this site's making."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from flask_babel import gettext as _

from steelyard.web.lab.options import OptionError, arguments, options

MAX_CONFIG_BYTES = 32 * 1024
"""Several times what any known model's config.json takes."""

MAX_DEPTH = 16
"""Of objects and lists in one another; readers of JSON recurse."""

ASKED = ("batch", "seq", "precision")
"""The options of a demo that the form has."""

ON_RANKS = frozenset({"zero"})
"""What is not asked for: what a rank takes on a GPU has no prediction."""

_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def words(script: Path, form: Mapping[str, str], text: str, out: Path) -> list[str]:
    """Return the words of a command line that predicts the model of this config.json, kept below `out`.

    What the sizes in it are good for, the demo finds out. Raises OptionError, worded for people, for what is
    no JSON object or has a value that the demo would not take; DemoError as `options.options` does.
    """
    chosen = arguments([option for option in options(script) if option.name in ASKED], form)
    path = _kept(*_config(text), out)
    return ["--predict", "--for", "cuda", "--model", str(path), *chosen]


def _config(text: str) -> tuple[dict[str, object], str]:
    """Return what was sent, and the same written anew: it is read as JSON, no more."""
    if not text.strip():
        raise OptionError(_("Paste a config.json, or choose its file."))
    if len(text.encode()) > MAX_CONFIG_BYTES:
        raise OptionError(_("The config.json is longer than %(most)s bytes.", most=MAX_CONFIG_BYTES))
    try:
        if _depth(text) > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} deep")
        config = json.loads(text, parse_constant=_refuse)
        kept = json.dumps(config, indent=1, sort_keys=True)
    except ValueError as error:
        raise OptionError(_("This is not JSON: %(error)s.", error=str(error)[:200])) from None
    if not isinstance(config, dict):
        raise OptionError(_("This is no config.json: it holds no object with fields."))
    return config, kept


def _depth(text: str) -> int:
    """Return how deep the brackets of a JSON text are nested, those within strings aside."""
    depth = deepest = 0
    for match in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        deepest = max(deepest, depth)
    return deepest


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _kept(config: dict[str, object], kept: str, out: Path) -> Path:
    """Write the configuration under a name of its own."""
    kind = str(config.get("model_type"))
    name = kind if _NAME.fullmatch(kind) else "model"
    path = out / "configs" / f"{name}-{hashlib.sha256(kept.encode()).hexdigest()[:8]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(kept, encoding="utf-8")
    return path
