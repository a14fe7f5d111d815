"""Whatever stands in a file, no script of its author runs in a learner's browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from flask import Flask

from chromium import chromium, serving
from pages.payloads import ALL, BLOCKS, INLINE
from pages.world import World

QUESTION = """---
techniques: [lora]
tags: [{quoted}]
sources: [{quoted}]
claims:
  - {{id: a-claim, says: {quoted}, verdict: holds-only-for, only_for: {quoted}, tests: [
      {{compute: "1 + 1", within: [2, 2]}}, {{compute: "1 + 1", within: [3, 3], expect: false}},
      {{cite: {quoted}, value: 1, within: [1, 1]}}]}}
---
# Title {line}

## Question

Stem {number}

{text}

## Choices

A. first {line}

B. second {line}

## Answer

A

## Explanation

{text}

### Heading {line}

It [saves](#a-claim).

### A. first

{text}

### B. second

[{line}](#a-claim)
"""


class Suspicious(HTMLParser):
    """Collect what could run a script: elements, attributes and addresses that no page of ours has."""

    ELEMENTS = frozenset(
        {"iframe", "object", "embed", "base", "style", "template", "noscript", "use", "animate"}
    )

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in self.ELEMENTS or (tag == "script" and not given.get("src", "").startswith("/static/")):
            self.found.append(f"<{tag}>")
        for name, value in given.items():
            address = re.sub(r"[\s\x00-\x1f]", "", value).lower()
            if name.startswith("on") or name in ("style", "srcdoc", "formaction", "http-equiv", "ping"):
                self.found.append(f"{tag} {name}={value}")
            if name in ("href", "src", "action", "xlink:href", "data", "background") and (
                urlsplit(address).scheme not in ("", "http", "https", "mailto")
            ):
                self.found.append(f"{tag} {name}={value}")


def question(number: int, payload: str) -> str:
    line = payload.replace("\n", " ")
    return QUESTION.format(number=number, text=payload, line=line, quoted=json.dumps(line[:100]))


@pytest.fixture
def hostile(world: World) -> Flask:
    """The site of an author who puts every payload into every place of a file."""
    for number, payload in enumerate(ALL):
        world.write(f"questions/q{number}.md", question(number, payload))
        world.write(f"demos/t{number}.py", f'"""Run it."""\n\nx = {payload!r}  # NEW {payload!r}\n')
        world.write(
            f"pages/t{number}.en.md", f"# {payload.splitlines()[0]}\n\n{payload}\n\n## More\n\n{payload}\n"
        )
    return world.app()


def hidden_fields(html: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html))


def answered(site: Flask, address: str) -> Iterator[str]:
    """Yield the page that asks, and the page that tells, each time to a new learner (submissions are limited)."""
    client = site.test_client()
    asked = client.get(address)
    yield asked.text
    told = client.post(address, data={**hidden_fields(asked.text), "choice": "A"}, follow_redirects=True)
    assert told.status_code == 200
    assert 'id="claim-a-claim"' in told.text
    yield told.text


def test_there_are_enough_payloads() -> None:
    assert len(set(INLINE) | set(BLOCKS)) == len(ALL) >= 60


def test_the_search_finds_what_it_looks_for() -> None:
    for harmful in (
        "<script>x</script>",
        "<a href='java\tscript:x'>",
        "<b onclick=x>",
        "<i style=x>",
        "<embed>",
    ):
        assert Suspicious(harmful).found


def test_no_page_carries_what_an_author_smuggled_in(hostile: Flask) -> None:
    client = hostile.test_client()
    pages = ["/", "/techniques", "/quizzes/questions"]
    seen = {address: client.get(address).text for address in pages}
    for number in range(len(ALL)):
        seen[f"/techniques/t{number}"] = client.get(f"/techniques/t{number}").text
        for stage, html in enumerate(answered(hostile, f"/questions/q{number}")):
            seen[f"/questions/q{number} ({stage})"] = html
    for address, html in seen.items():
        assert Suspicious(html).found == [], address
    assert len(seen) == 3 * len(ALL) + 3


def test_the_policy_allows_no_inline_script_or_style(hostile: Flask) -> None:
    policy = hostile.test_client().get("/techniques/lora").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy and "unsafe-eval" not in policy


TOUCH_EVERYTHING = """() => {
    for (const element of document.querySelectorAll("main *"))
        for (const name of ["mouseover", "pointerover", "focus", "error", "load", "toggle", "animationstart"])
            element.dispatchEvent(new Event(name));
    for (const link of document.querySelectorAll("main a[href]"))
        if (!/^(https?|mailto):$/.test(link.protocol)) link.click();
}"""


@pytest.mark.browser
def test_no_script_runs_in_a_real_browser_even_without_the_policy(hostile: Flask) -> None:
    """Chromium is told to ignore the policy, so that the sanitiser has to hold alone."""
    ran: list[str] = []
    with serving(hostile) as site, chromium() as browser:
        page = browser.new_context(bypass_csp=True, locale="en").new_page()
        page.expose_function("caught", lambda: ran.append(page.url))
        page.add_init_script("window.alert = () => caught().then(() => { document.title = 'told'; })")
        page.on("dialog", lambda dialog: (ran.append(page.url), dialog.dismiss()))
        for number in range(len(ALL)):
            page.context.clear_cookies()  # a new learner each time: submissions are limited
            address = f"{site}/questions/q{number}"
            form = hidden_fields(page.request.get(address).text())
            told = page.request.post(address, form={**form, "choice": "A"})
            page.goto(told.url)
            assert page.locator("#claim-a-claim").count() == 1
            page.evaluate(TOUCH_EVERYTHING)
            assert page.url == told.url
        assert ran == []
        page.set_content("<img src=x onerror=alert(1)>")  # so that a deaf test cannot pass
        page.wait_for_function("document.title === 'told'")
    assert len(ran) == 1
