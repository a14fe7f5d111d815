"""One page per record, and the record itself."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("runs", __name__)
