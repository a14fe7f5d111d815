"""The addresses of pages, for templates: Flask's own, worked out once for each page that can be asked for."""

from __future__ import annotations

from functools import cache, lru_cache
from types import NoneType
from urllib.parse import urlencode

from flask import Flask, request, url_for

KEPT = 4096
"""Addresses kept by each worker, without what stands behind the question mark."""
_UNQUOTED = "!$'()*,/:;?@"
"""What werkzeug leaves as it is behind a question mark."""
_PLAIN = (str, int, NoneType)


def init_app(app: Flask) -> None:
    """Let templates find addresses by `url_for`, as Flask gives them within this site."""

    @cache
    def in_path(endpoint: str) -> frozenset[str] | None:
        """Return which arguments stand in an endpoint's path; None where Flask has to say."""
        rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint == endpoint]
        fixed = len(rules) == 1 and not rules[0].defaults and endpoint != "static"
        return frozenset(rules[0].arguments) if fixed else None

    @lru_cache(KEPT)
    def path(_root: str, endpoint: str, values: frozenset[tuple[str, object]]) -> str:
        return url_for(endpoint, **dict(values))  # type: ignore[arg-type]

    def address(endpoint: str, **values: object) -> str:
        known = in_path(endpoint)
        plain = all(type(value) in _PLAIN and name[0] != "_" for name, value in values.items())
        if known is None or not plain:
            return url_for(endpoint, **values)  # type: ignore[arg-type]
        inside = frozenset(each for each in values.items() if each[0] in known)
        query = [each for each in values.items() if each[1] is not None and each[0] not in known]
        found = path(request.root_path, endpoint, inside)
        return f"{found}?{urlencode(query, safe=_UNQUOTED)}" if query else found

    app.jinja_env.globals["url_for"] = address
