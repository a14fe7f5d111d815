"""Japanese text renders as its author meant it, and other text as CommonMark says."""

from __future__ import annotations

import pytest
from markdown_it.ruler import Ruler

from steelyard.markup.markdown import HTML_TAGS, parser
from steelyard.web.text import render


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("**蒸らし（Bloom）**の時間", "<strong>蒸らし（Bloom）</strong>の時間"),
        ("**手順。**続き", "<strong>手順。</strong>続き"),
        ("これは**「器」**です", "これは<strong>「器」</strong>です"),
        ("**効き目**：香り", "<strong>効き目</strong>：香り"),
        ("これは*(b)*だ", "これは<em>(b)</em>だ"),
        ("~~（旧）~~の値", "<s>（旧）</s>の値"),
        ("**가(나)**다", "<strong>가(나)</strong>다"),
    ],
)
def test_emphasis_closes_beside_brackets_and_marks_of_cjk_text(source, html):
    assert f"<p>{html}</p>\n" == parser().render(source)


def test_the_shape_of_a_japanese_stem_has_no_stray_and_no_nested_emphasis():
    html = parser().render(
        "**ハンドドリップ（Pour Over）**の下準備として、**すべて**挙げてください。（複数選択）"
    )

    assert html.count("<strong>") == html.count("</strong>") == 2
    assert "*" not in html
    assert "<strong>ハンドドリップ（Pour Over）</strong>の下準備として、<strong>すべて</strong>挙げて" in html


@pytest.mark.parametrize("source", ["a**(x)**b", "a * b * c", "snake_case_name", "hello**(world)**!"])
def test_other_text_keeps_commonmarks_rules(source):
    assert f"<p>{source}</p>\n" == parser().render(source)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("一行目\n二行目", "一行目二行目"),
        ("一行目。\n**二**行目", "一行目。<strong>二</strong>行目"),
        ("日本語\nand English", "日本語\nand English"),
        ("한국어\n문장", "한국어\n문장"),
        ("一行目  \n二行目", "一行目<br />\n二行目"),
        ("![図](a.png)\n次", '<img src="a.png" alt="図" />\n次'),
    ],
)
def test_a_soft_break_between_two_cjk_characters_is_no_space(source, text):
    assert f"<p>{text}</p>\n" == parser().render(source)


@pytest.mark.parametrize("source", ["costs $5 and $6", "a $ x $ b", "1$x$2"])
def test_dollars_that_are_no_formula_stay(source):
    assert f"<p>{source}</p>\n" == parser().render(source)


def test_the_elements_that_the_check_lets_pass_are_those_that_the_page_keeps():
    assert HTML_TAGS == render._TAGS - render._MATHML


def test_a_parser_comes_with_the_tables_that_mdurl_would_fill_under_the_eyes_of_other_threads(monkeypatch):
    tables: dict[str, dict[str, list[str]]] = {"_encode.encode_cache": {}, "_decode.decode_cache": {}}
    for name, table in tables.items():
        monkeypatch.setattr(f"mdurl.{name}", table)
    md = parser()
    filled = {name: {key: len(row) for key, row in table.items()} for name, table in tables.items()}
    md.render("[words](/a%20b?c#d) <https://example.org/%C3%BC>")

    assert all(filled.values())
    assert filled == {name: dict.fromkeys(table, 128) for name, table in tables.items()}


def test_a_parser_has_its_rules_before_threads_share_it(monkeypatch):
    md = parser()

    def compile_late(ruler: object) -> None:
        raise AssertionError(f"{ruler} is compiled while it is in use, when another thread finds no rules")

    monkeypatch.setattr(Ruler, "__compile__", compile_late)

    assert "<strong>" in md.render("**a** [b](/c) $x$\n\n> d\n\n| e |\n|---|\n| f |\n\n~~g~~")
