"""What a form may set of a demo: asked of the demo itself (`--options`), and checked before it is started."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from flask_babel import gettext as _

OFFERED = frozenset(
    {"model", "precision", "batch", "seq", "steps", "warmup", "seeds", "lr", "rank", "alpha", "stage"}
    | {"ranks", "offload", "init", "step", "device"}
)
"""What a page may set: no path, no name that a hub is asked for, and nothing that publishes."""

MODELS = ("tiny",)
"""The models that a page offers beside the demo's own."""

ANSWER_SECONDS = 60


class OptionError(ValueError):
    """A value that the demo would not take; its text is one line for people."""


class DemoError(Exception):
    """A script that does not say what it accepts; its text is one line for people."""


@dataclass(frozen=True)
class DemoOption:
    """One option of a demo, as a form shows it."""

    name: str
    kind: Literal["flag", "whole", "number", "text"]
    minimum: int | None
    choices: tuple[str, ...]
    default: str
    """As a form has it: empty for an option that is not given."""

    @property
    def label(self) -> str:
        return _label(self.name)

    def choice_words(self, choice: str) -> str:
        """Return what a choice of an option is called."""
        if choice == "":
            return _("all of them")
        if self.name == "model" and choice == "tiny":
            return _("tiny (two random layers, seconds)")
        return choice


def options(script: Path) -> tuple[DemoOption, ...]:
    """Return what a page may set of this demo, in the order of its command line. Raises DemoError."""
    try:
        return _ask(script, script.stat().st_mtime_ns)
    except OSError as error:
        raise DemoError(f"{script.name}: {error.strerror}") from None


@lru_cache(maxsize=64)
def _ask(script: Path, changed: int) -> tuple[DemoOption, ...]:
    command = [sys.executable, str(script), "--options"]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, encoding="utf-8", timeout=ANSWER_SECONDS, check=True
        )
        return tuple(_read(option) for option in json.loads(done.stdout) if option["name"] in OFFERED)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or "it says nothing").splitlines()[-1]
        raise DemoError(f"{script.name} --options: {last}") from None
    except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise DemoError(f"{script.name} --options: no answer that can be read ({error})") from None


def _read(answer: dict[str, object]) -> DemoOption:
    default, choices, minimum = answer["default"], answer["choices"], answer["minimum"]
    shown = "" if default in (None, False) else f"{default:g}" if isinstance(default, float) else str(default)
    offered = tuple(map(str, choices)) if isinstance(choices, list) else ()
    if answer["name"] == "model":
        offered = (shown, *MODELS)
    kind = answer["kind"]
    if kind not in ("flag", "whole", "number", "text"):
        raise ValueError(f"an option of the kind {kind!r}")
    return DemoOption(
        str(answer["name"]), kind, minimum if isinstance(minimum, int) else None, offered, shown
    )


def arguments(options: Sequence[DemoOption], form: Mapping[str, str]) -> list[str]:
    """Return the words of a command line for a form's values; those that are the demo's own are left out.

    Raises OptionError.
    """
    words: list[str] = []
    for option in options:
        value = form.get(option.name, "").strip()
        if value in ("", option.default):
            continue
        flag = "--" + option.name.replace("_", "-")
        words += [flag] if option.kind == "flag" else [flag, _checked(option, value)]
    return words


def _checked(option: DemoOption, value: str) -> str:
    shown = value[:40]
    if option.choices:
        if value not in option.choices:
            raise OptionError(
                _(
                    "%(option)s: “%(value)s” is none of %(choices)s.",
                    option=option.label,
                    value=shown,
                    choices=", ".join(option.choices),
                )
            )
    elif option.kind == "whole":
        least = option.minimum or 0
        if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) < least:
            raise OptionError(
                _(
                    "%(option)s: “%(value)s” is not a whole number from %(least)s up.",
                    option=option.label,
                    value=shown,
                    least=least,
                )
            )
    elif option.kind == "number":
        if not _is_positive(value):
            raise OptionError(
                _("%(option)s: “%(value)s” is not a number above 0.", option=option.label, value=shown)
            )
    else:  # free text would be a path or an address
        raise OptionError(_("%(option)s cannot be set from here.", option=option.label))
    return value


def _is_positive(value: str) -> bool:
    try:
        return re.fullmatch(r"[0-9.eE+-]{1,20}", value) is not None and 0 < float(value) < math.inf
    except ValueError:
        return False


def _label(name: str) -> str:
    words = {
        "model": _("Model"),
        "precision": _("Precision"),
        "batch": _("Sequences a step"),
        "seq": _("Tokens a sequence"),
        "steps": _("Measured steps"),
        "warmup": _("Warm-up steps"),
        "seeds": _("Repeats"),
        "lr": _("Learning rate"),
        "rank": _("Rank"),
        "alpha": _("Alpha"),
        "stage": _("ZeRO stage"),
        "ranks": _("Processes"),
        "offload": _("Offload the optimizer"),
        "init": _("Initialisation"),
        "step": _("Step of the stack"),
        "device": _("Device"),
    }
    return words[name]
