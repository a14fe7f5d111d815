"""Static files: cached by browsers for a year, under addresses that change with their content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

YEAR = 365 * 24 * 3600


def init_app(app: Flask) -> None:
    """Add `static_url` to templates, and cache headers to the files."""
    known: dict[str, tuple[int, str]] = {}
    folder = str(app.static_folder)

    def digits(filename: str) -> str | None:
        """Return digits that change with the file; None when there is no such file."""
        path = f"{folder}/{filename}"
        try:
            changed = os.stat(path).st_mtime_ns  # noqa: PTH116 (for each link of each page: a Path costs more)
        except OSError:
            return None
        if filename not in known or known[filename][0] != changed:
            known[filename] = changed, hashlib.sha256(Path(path).read_bytes()).hexdigest()[:10]
        return known[filename][1]

    @app.url_defaults
    def stamp(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and "v" not in values:
            values["v"] = digits(values["filename"])

    def static_url(filename: str) -> str:
        """Return what `url_for("static", filename=filename)` does, without the work of routing."""
        return f"{request.script_root}{app.static_url_path}/{filename}?v={digits(filename)}"

    app.jinja_env.globals["static_url"] = static_url

    @app.after_request
    def keep(response: Response) -> Response:
        if request.endpoint == "static" and "v" in request.args and response.status_code == 200:
            response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
        return response
