"""`--options`: what a demo's command line accepts, as JSON, so that a form can offer the same."""

from __future__ import annotations

import argparse
import json
from dataclasses import Field
from typing import Any, NoReturn

_KINDS = {"bool": "flag", "int": "whole", "float": "number"}


def add_option(group: argparse._ArgumentGroup, options: list[dict[str, Any]]) -> None:
    """Add `--options`, which prints `options`."""
    what = "print these options as JSON, for programs that offer them, and stop"
    group.add_argument("--options", action=_Print, nargs=0, const=options, help=what)


class _Print(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(json.dumps(self.const, indent=1))
        raise SystemExit(0)


def described(option: Field[Any], default: Any) -> dict[str, Any]:
    """Return the name, kind (flag, whole, number or text), least value, choices and default of an option."""
    kind = _KINDS.get(str(option.type).removesuffix(" | None"), "text")
    least = getattr(option.metadata.get("type"), "minimum", None)
    choices = option.metadata.get("choices")
    return {"name": option.name, "kind": kind, "minimum": least, "choices": choices, "default": default}
