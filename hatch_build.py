"""Put the demo scripts into the wheel, whichever there are: hatch's own settings would have to name each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DemoScripts(BuildHookInterface):
    """hatch's hook; pyproject.toml turns it on for wheels."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the scripts to what is copied into the wheel beside its packages."""
        for script in sorted(Path(self.root, "demos").glob("*.py")):
            build_data["force_include"][str(script)] = f"steelyard/_data/demos/{script.name}"
