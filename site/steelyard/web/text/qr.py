"""An address as a QR code, to be read by a telephone."""

from __future__ import annotations

import segno
from markupsafe import Markup


def qr(address: str) -> Markup:
    """Return an SVG without inline style. It is black on white in every theme, as readers expect it."""
    code = segno.make(address, micro=False)
    return Markup(code.svg_inline(omitsize=True, svgclass="qr", lineclass=None, light="#fff"))  # noqa: S704
