"""The technique map and one page per technique."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("techniques", __name__)
