"""HTML to Markdown: what authors get to read, and what must not be taken for something else when it is read back."""

from __future__ import annotations

import pytest

from questions import parsed
from steelyard.bank.model import Text
from steelyard.exchange.html import HtmlWriter
from steelyard.exchange.markdown import to_markdown


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<p>modules_to_save, _x_ and 2*3*4</p>", "modules_to_save, \\_x\\_ and 2\\*3\\*4"),
        ("<p>a <b>bold</b>, <i>it</i>, <code>a`b</code></p>", "a **bold**, *it*, ``a`b``"),
        ("<p><b>蒸らし（Bloom）</b>の時間</p>", "**蒸らし（Bloom）**の時間"),
        ('<p>a<b>"b"</b>c</p>', 'a<strong>"b"</strong>c'),
        ("<p>Look!<a href='https://a.b/'>here</a></p>", "Look\\![here](<https://a.b/>)"),
        ("<p>\\(x\\)2 and 3\\(y\\)</p>", "$x$&#50; and &#51;$y$"),
        ("<p>so \\[x = 1\\] it is</p>", "so\n\n$$x = 1$$\n\nit is"),
        ("<ul><li>a<li>b</ul><ul><li>c</ul>", "- a\n- b\n\n* c"),
        ("# 1<br>2. x<br>- y", "\\# 1\\\n2\\. x\\\n\\- y"),
        ("<b>all <p>of</p> it</b>", "**all**\n\n**of**\n\n**it**"),
        ("<h1>One</h1><h4>Part #</h4><h2>A. first</h2>", "### One\n\n#### Part \\#\n\n### &#65;. first"),
        ("<table><tr><td>a|b<td><p>c</p><p>d</p></table>", "| a\\|b | c<br>d |\n| --- | --- |"),
        ("<p>&lt;b&gt; &amp;amp; H<sub>2</sub>O</p>", "\\<b> \\&amp; H<sub>2</sub>O"),
    ],
)
def test_html_becomes_the_markdown_that_an_author_would_write(html, markdown):
    told = []

    assert to_markdown(html, told.append) == markdown
    assert told == []


def test_emphasis_that_is_never_closed_is_told_for_it_may_be_a_word():
    told = []

    assert to_markdown("<div><p>open <em>and never closed", told.append) == "open *and never closed*"
    assert told == ["<em> is never closed: as a word it is written &lt;em>"]


@pytest.mark.parametrize("line", ["B. x", "b) x", "(B) x", "Ｂ．x", "B、x", "**B.** x", "- C: x"])
def test_no_line_within_a_choice_begins_the_next_one(line):
    html = f"<p>first</p><p>{line.replace('**B.**', '<b>B.</b>').removeprefix('- ')}</p>"
    html = html.replace("<p>C:", "<ul><li>C:").replace("x</p>", "x</li></ul>") if "C:" in line else html
    text = to_markdown(html, lambda _: None, choice=True)
    question = parsed(choices=f"## Choices\nA. {text}\n\nB. second\n").question

    assert question is not None and len(question.choices) == 2
    assert HtmlWriter("", {}, None, lambda _: None).html(Text(text)).count("x") == 1


@pytest.mark.parametrize("latex", ["a $ b", "\\", "x\\text{\\$}$"])
def test_a_formula_that_cannot_stand_between_dollars_remains_as_code_and_is_named(latex):
    told = []

    assert to_markdown(f"<p>\\({latex}\\)</p>", told.append) == f"`{latex}`"
    assert told == [f'the formula "{latex}" cannot stand between dollars: it remains as code']


def test_endless_nesting_is_cut_and_keeps_its_words():
    assert to_markdown("<blockquote>" * 5000 + "deep", lambda _: None).endswith("deep")
