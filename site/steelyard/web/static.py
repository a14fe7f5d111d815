"""Style sheets, scripts and pictures: kept by browsers for a year, under addresses that change with them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

YEAR = 365 * 24 * 3600


def init_app(app: Flask) -> None:
    known: dict[str, tuple[int, str]] = {}

    @app.url_defaults
    def stamp(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint != "static" or "v" in values or not app.static_folder:
            return
        path = Path(app.static_folder) / values["filename"]
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return
        name = values["filename"]
        if known.get(name, (None,))[0] != changed:
            known[name] = changed, hashlib.sha256(path.read_bytes()).hexdigest()[:10]
        values["v"] = known[name][1]

    @app.after_request
    def keep(response: Response) -> Response:
        if request.endpoint == "static" and "v" in request.args and response.status_code == 200:
            response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
        return response
