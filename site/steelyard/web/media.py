"""The pictures beside the questions."""

from __future__ import annotations

from flask import Blueprint, abort, send_file
from werkzeug.wrappers import Response

from steelyard.html import IMAGE_TYPES
from steelyard.web.state import state

bp = Blueprint("media", __name__)


@bp.get("/media/<path:path>")
def show(path: str) -> Response:
    """Send a picture from inside the questions folder, and nothing else, wherever a link may lead."""
    folder = state().settings.questions.resolve()
    try:
        file = (folder / path).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # the last: links in a circle, before Python 3.13
        abort(404)
    content_type = IMAGE_TYPES.get(file.suffix.lower())  # of the file itself, whatever a link to it is called
    if content_type is None or not file.is_relative_to(folder) or not file.is_file():
        abort(404)
    response: Response = send_file(file, mimetype=content_type, conditional=True)
    # An SVG opened by itself is a document: it may neither run scripts nor act as a page of this site.
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return response
