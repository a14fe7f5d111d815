"""Markdown to HTML: what authors mean is kept, what could harm is not, and verdicts stand where claims are made."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from steelyard.bank.model import Text
from steelyard.claims import Claim, Verdict
from steelyard.evidence import Judgement
from steelyard.web.text.render import MAX_COLOURED, render


def html(source: str, **options: object) -> str:
    return str(render(Text(source), **{"lang": "en", **options}))  # type: ignore[arg-type]


def judged(verdict: Verdict, only_for: str | None = None) -> dict[str, Judgement]:
    return {"a-claim": Judgement(Claim(id="a-claim", says="It saves.", only_for=only_for), verdict)}


pytestmark = pytest.mark.usefixtures("english")


def test_emphasis_between_japanese_characters_is_closed_and_never_nested() -> None:
    source = "**省メモリの手法（PEFT）**の一つで、**いま使える**ものを**すべて**選ぶ。\n\n- **例**：4096×4096の行列"
    shown = html(source, lang="ja")
    assert shown.count("<strong>") == shown.count("</strong>") == 4
    assert "*" not in shown
    assert not re.search(r"<(strong|em)>[^<]*<(strong|em)>", shown)


def test_math_becomes_mathml() -> None:
    shown = html(r"The rank is $r \ll d$ and" + "\n\n$$\\frac{\\alpha}{r} BA$$")
    assert "<math>" in shown and '<math display="block">' in shown
    assert "<mfrac><mi>α</mi><mi>r</mi></mfrac>" in shown
    assert "$" not in shown


def test_math_keeps_its_alignment_by_classes_and_loses_inline_styles() -> None:
    shown = html("$$\n\\begin{align}a&=b\\\\c&=\\color{red}d\\end{align}\n$$")
    assert 'class="right"' in shown and 'class="left"' in shown
    assert " style=" not in shown


def test_a_formula_that_cannot_be_read_is_shown_as_it_was_written() -> None:
    assert '<code class="bad-math">\\nonsense{&lt;b&gt;}</code>' in html(r"$\nonsense{<b>}$")


def test_money_is_not_math() -> None:
    assert "<math" not in html("It costs 5$ or 6$ an hour.")


def test_code_of_a_length_that_lexers_may_not_bear_is_shown_without_colours() -> None:
    line = "x = None\n"
    shown = html("```python\n" + line * (MAX_COLOURED // len(line) + 1) + "```")
    assert shown.count("x = None") == MAX_COLOURED // len(line) + 1
    assert '<span class="' in html(f"```python\n{line * 100}```")
    assert "<span" not in html("```python\n" + "\n " * 30_000 + "\n```")


def test_code_is_coloured_by_classes() -> None:
    shown = html("```python\ndef f(x):\n    return x\n```")
    assert '<span class="k">def</span>' in shown and '<pre class="code" tabindex="0">' in shown
    assert " style=" not in shown


def test_code_in_an_unknown_language_is_shown_plain() -> None:
    assert "<code>a &lt; b\n</code>" in html("```klingon\na < b\n```")


def test_a_table_keeps_its_alignment_and_scrolls_by_keyboard() -> None:
    shown = html("|a|b|\n|-|-:|\n|1|2|")
    assert '<div class="scroll" tabindex="0"><table>' in shown
    assert '<th>a</th>\n<th class="right">b</th>' in shown
    assert " style=" not in shown


def test_an_empty_head_of_a_column_is_no_head() -> None:
    """The corner of a table of two directions has nothing to be read out."""
    shown = html("| | b |\n|-|-:|\n| 1 | 2 |")
    assert '<td></td>\n<th class="right">b</th>' in shown and "<th></th>" not in shown


@pytest.mark.parametrize(
    ("source", "top", "tags"),
    [
        ("# a\n\n## b", 3, ["h3", "h4"]),
        ("### a\n\n#### b", 3, ["h3", "h4"]),
        ("###### a", 3, ["h3"]),
        ("## a\n\n### b", 2, ["h2", "h3"]),
        ("# a\n\n###### b", 3, ["h3", "h6"]),
    ],
)
def test_headings_fit_below_those_of_the_page(source: str, top: int, tags: list[str]) -> None:
    assert re.findall(r"<(h\d)>", html(source, heading=top)) == tags


def test_a_raw_heading_cannot_pass_for_the_pages() -> None:
    assert not re.search(r"<h[12]", html("<h1>Title</h1>\n\n<h2>Section</h2>"))


# ---- verdicts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "only_for", "words"),
    [
        ("holds", None, "holds"),
        ("does-not-hold", None, "does not hold"),
        ("holds-only-for", "that one <matrix>", "holds only for …"),
        ("open", None, "not measured yet"),
    ],
)
def test_a_linked_claim_leads_to_its_card_and_says_its_verdict(
    verdict: Verdict, only_for: str | None, words: str
) -> None:
    shown = html("It [saves 90 %](#a-claim).", judgements=judged(verdict, only_for))
    link = '<a class="claim" href="#claim-a-claim" rel="noopener">saves 90 %</a>'
    assert shown == f'<p>It {link} <span class="verdict verdict-{verdict}">{words}</span>.</p>\n'


def test_without_judgements_nothing_tells_a_claim_from_plain_words() -> None:
    shown = html("It [saves 90 %](#a-claim).")
    assert "verdict" not in shown and "href" not in shown and "a-claim" not in shown
    assert "saves 90 %" in shown


def test_a_verdict_changes_with_its_judgement() -> None:
    source = "It [saves](#a-claim)."
    assert html(source, judgements=judged("holds")) != html(source, judgements=judged("does-not-hold"))


def test_an_author_cannot_dress_up_a_verdict() -> None:
    shown = html('<span class="verdict verdict-holds">holds</span>', judgements=judged("does-not-hold"))
    assert shown == "<p><span>holds</span></p>\n"


# ---- links and images -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "leads_to"),
    [
        ("https://example.org/a", "https://example.org/a"),
        ("mailto:a@example.org", "mailto:a@example.org"),
        ("/techniques/lora", "/techniques/lora"),
        ("peak.en.md", "/questions/lora/peak"),
        ("../peft/kinds.md#end", "/questions/peft/kinds"),
        ("../../../etc/passwd.md", None),
        ("//example.org/a", None),
        ("notes.txt", None),
        ("javascript:alert(1)", None),
        ("ftp://example.org", None),
        ("#elsewhere", None),
    ],
)
def test_a_link_leads_where_it_may(link: str, leads_to: str | None) -> None:
    shown = html(f'<a href="{link}">words</a>', folder="lora")
    found = re.search(r'href="([^"]*)"', shown)
    assert (found and found[1]) == leads_to
    assert "words" in shown


def test_a_link_out_of_the_site_gives_nothing_away() -> None:
    assert 'rel="noopener"' in html("[a](https://example.org)")


@pytest.mark.parametrize(
    ("image", "source"),
    [
        ("figure.png", "/media/lora/figure.png"),
        ("../shared/a%20b.svg", "/media/shared/a%20b.svg"),
        ("../../outside.png", None),
        ("/etc/outside.png", None),
        ("figure.html", None),
        ("data:image/png;base64,AAAA", None),
        ("https://example.org/spy.png", None),
    ],
)
def test_an_image_comes_from_the_questions_folder_or_not_at_all(image: str, source: str | None) -> None:
    shown = html(f"![what it shows]({image})", folder="lora")
    found = re.search(r'src="([^"]*)"', shown)
    assert (found and found[1]) == source
    assert "what it shows" in shown


def test_ids_of_a_text_cannot_collide_with_the_pages() -> None:
    assert html('<b id="main">x</b>', prefix="A-") == '<p><b id="A-text-main">x</b></p>\n'


def test_links_of_a_site_below_a_path_keep_that_path(english: Flask) -> None:
    with english.test_request_context("/", base_url="http://localhost/quiz"):
        assert 'href="/quiz/techniques/lora"' in html("[a](/techniques/lora)")


def test_a_url_that_python_refuses_to_take_apart_breaks_no_page() -> None:
    assert "words" in html('<a href="http://[">words</a> <img src="http://[" alt="seen">', folder="")
