"""What real banks hold and real Moodles write: each word, picture, mark and category comes, or a line names it."""

from __future__ import annotations

import base64
import zipfile

import pytest
from click.testing import CliRunner

from exchange.test_import import PIXEL, problems, xml
from steelyard.bank.answer import comparable
from steelyard.cli import main
from steelyard.exchange import gift, moodle_xml
from steelyard.exchange.item import Item, Option
from steelyard.exchange.markdown import to_markdown

OTHER = PIXEL + b"\0"


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Import a text, and return the result and the written files by name; they pass the check."""
    monkeypatch.chdir(tmp_path)

    def run(text, name="f.xml", lang="en"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        result = CliRunner().invoke(main, ["import", name, "--to", "made", "--lang", lang])
        made = tmp_path / "made"
        files = {path.name: path.read_bytes() for path in made.iterdir()} if made.exists() else {}
        assert not files or problems(made) == []
        return result, {k: v.decode() if k.endswith(".md") else v for k, v in files.items()}

    return run


def converted(html):
    told = []
    return to_markdown(html, told.append), told


def file(name, data, path="/"):
    return f'<file name="{name}" path="{path}" encoding="base64">{base64.b64encode(data).decode()}</file>'


def question(*parts, kind="multichoice", name="Q"):
    body = "".join(parts)
    text = "" if "<questiontext" in body else '<questiontext format="html"><text>Which?</text></questiontext>'
    return f'<question type="{kind}"><name><text>{name}</text></name>{text}{body}</question>'


def answer(fraction, text, inside=""):
    return f'<answer fraction="{fraction}" format="html"><text><![CDATA[{text}]]></text>{inside}</answer>'


YES_NO = answer(100, "yes") + answer(0, "no")


# ---- A: line breaks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<p>Look: <code>a = 1<br>b = 2</code></p>", "Look:\n\n```\na = 1\nb = 2\n```"),
        ("<pre>a = 1<br>b = 2</pre>", "```\na = 1\nb = 2\n```"),
        ("<pre>\na<br/>  b\n</pre>", "```\na\n  b\n```"),
        ("<pre><div>a</div><div>b</div></pre>", "```\na\nb\n```"),
        ("<code><div>a</div><div>b</div></code>", "```\na\nb\n```"),
        ("<table><tr><td><pre>a\nb</pre></td></tr></table>", "| `a`<br>`b` |\n| --- |"),
        ('<div style="white-space: pre-wrap">a\nb</div>', "a\\\nb"),
        ("<h3><div>a</div><div>b</div></h3>", "### a b"),
    ],
)
def test_a_line_break_in_code_is_one(html, markdown):
    assert converted(html)[0] == markdown


def test_beside_a_tag_a_newline_of_gift_is_none(imported):
    _, files = imported("::p::Given\n<ul>\n<li>x</li>\n<li>y</li>\n</ul>\nwhich?\nNow{=x ~y}", "f.gift")

    assert "Given\n\n- x\n- y\n\nwhich?\\\nNow\n" in files["p.en.md"]


# ---- B: elements ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        *("the <head> section", "the <title> is", "<script> runs", "vector<int> v", "#include <stdio.h>"),
        *(
            "List<String> x",
            "if a<b and c>d",
            "x <y && y> z",
            "<?php echo 1 ?>",
            "<!-- open",
            "a <b",
            "a < b",
        ),
        *("</foo> closes", "<https://a.b/c>", "an <img> tag", "a <select> field", '<a x="<b', "<body> holds"),
    ],
)
def test_words_that_look_like_elements_stay_words(words):
    markdown, told = converted(f"What is {words}")
    root = to_markdown(f"What is {words}".replace("&", "&amp;").replace("<", "&lt;"), print)

    assert (markdown, told) == (root, [])


@pytest.mark.parametrize(
    ("html", "markdown", "message"),
    [
        ("a <script>f()</script>", "a", 'the <script> "f()" is left out'),
        ("a <style>p {}</style>", "a", 'the <style> "p {}" is left out'),
        ("a <!-- b -->", "a", 'the comment "b" is left out'),
        (
            '<iframe src="https://a.b/v"></iframe>',
            "[https://a.b/v](<https://a.b/v>)",
            'the <iframe> of "https://a.b/v" becomes a link',
        ),
        (
            "<video controls><source src='v.mp4'>old</video>",
            "old",
            'the <video> "v.mp4" is left out; its words are "old"',
        ),
        (
            "<math><mi>x</mi><mo>+</mo></math>",
            "x+",
            'of a formula in MathML the characters remain, "x+": write it as TeX',
        ),
        ("<svg><text>A</text></svg>", "", 'the <svg> is left out; its words are "A"'),
        ('<span style="color:red">a</span>', "a", 'the colour of "a" is left out: red'),
        (
            '<p style="background-color: yellow">a</p>',
            "a",
            'the background of "a" is left out: yellow',
        ),
        (
            '<ol type="a"><li>x</ol>',
            "1. x",
            'the numbering "a" of a list is left out: it becomes 1, 2, 3',
        ),
        ("a</b>", "a", "</b> closes nothing and is left out"),
        (
            'a <input value="v">',
            "a",
            'a form field, <input> ("v"), cannot be filled in here: its words remain',
        ),
        ('<abbr title="long">l</abbr>', "<abbr>l</abbr>", 'the tooltip "long" is left out'),
        ("<code>a<sub>i</sub></code>", "`ai`", "no <sub> can stand in code: of it the words remain"),
    ],
)
def test_what_is_lost_is_named(html, markdown, message):
    assert converted(html) == (markdown, [message])


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ('<span style="text-decoration: underline">a</span>', "<u>a</u>"),
        ('<span style="font-weight: bold; color: #000">a</span>', "**a**"),
        ('<math><annotation encoding="application/x-tex">x^2</annotation></math>', "$x^2$"),
        ("<table><caption>C</caption>w<tr><td>a</table>", "C\n\nw\n\n| a |\n| --- |"),
        ("<ul>In<li>x</ul>", "- In\n- x"),
        ('<a href="https://a.b/"><div>t</div></a>', "[t](<https://a.b/>)"),
        ("<p>a<o:p></o:p></p><![endif]>", "a"),
        ("<!doctype html><html><head></head><body><p>a</body></html>", "a"),
        ("a <q>b</q>", "a “b”"),
    ],
)
def test_what_markdown_can_say_in_its_own_way_comes(html, markdown):
    assert converted(html) == (markdown, [])


# ---- C: files ---------------------------------------------------------------------------------------------


def test_a_file_belongs_to_its_text_and_is_renamed_where_another_has_its_name(imported):
    image = '<img src="@@PLUGINFILE@@/image.png" alt="1">'
    one = answer(100, image, file("image.png", PIXEL))
    result, files = imported(xml(question(one, answer(0, image, file("image.png", OTHER)))))

    assert result.exit_code == 0, result.output
    assert (files["q-image.png"], files["q-image-2.png"]) == (PIXEL, OTHER)
    assert "A. ![1](<q-image.png>)" in files["q.en.md"] and "B. ![1](<q-image-2.png>)" in files["q.en.md"]


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("@@PLUGINFILE@@/dot.png?time=1612345678", file("dot.png", PIXEL)),
        ("@@PLUGINFILE@@/pics/dot.png", file("dot.png", PIXEL, "/pics/")),
        ("@@PLUGINFILE@@/a%20dot.png", file("a dot.png", PIXEL)),
        (f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}", ""),
    ],
)
def test_a_picture_is_known_however_it_is_addressed(imported, url, inside):
    text = f'<questiontext><text><![CDATA[Which? <img src="{url}" alt="x">]]></text>{inside}</questiontext>'
    result, files = imported(xml(question(text, YES_NO)))

    assert "is not in the file" not in result.stderr
    assert PIXEL in files.values()


def test_the_pictures_of_moodle_1_and_of_combined_feedback(imported):
    old = f"<image>dot.png</image><image_base64>{base64.b64encode(PIXEL).decode()}</image_base64>"
    shown = '<correctfeedback format="html"><text><![CDATA[<img src="@@PLUGINFILE@@/ok.png">]]></text>'
    result, files = imported(xml(question(old, shown + file("ok.png", PIXEL), "</correctfeedback>", YES_NO)))

    assert files["q-dot.png"] == PIXEL and "![](<q-dot.png>)" in files["q.en.md"]
    assert (
        'its correctfeedback (the picture "ok.png") is left out; only choices have feedback' in result.stderr
    )


# ---- D: what was dropped or refused ------------------------------------------------------------------------


@pytest.mark.parametrize("blank", ["<p><br></p>", "<p>&nbsp;</p>", "<div></div>", " "])
def test_blank_feedback_drops_no_question(imported, blank):
    feedback = f"<feedback format='html'><text><![CDATA[{blank}]]></text></feedback>"
    _, files = imported(xml(question(answer(100, "yes", feedback), answer(0, "no"))))

    assert "This question came without an explanation." in files["q.en.md"]


def test_code_that_differs_in_its_indentation_is_not_the_same(imported):
    text = "::i::[html]Which?{=<pre>for i in r\\:<br>    f()<br>    g()</pre> ~<pre>for i in r\\:<br>    f()<br>g()</pre>}"
    _, files = imported(text, "f.gift")

    assert "i.en.md" in files


def test_code_is_compared_as_code_and_words_as_words():
    assert comparable("**Rank**  of") == comparable("rank of")
    assert comparable("`a  b`") != comparable("`a b`")
    assert comparable("`True` it is") != comparable("`true` it is")
    assert comparable("(`x`)") == comparable("(x)")
    assert (
        comparable("```python\nx\n y\n```") == comparable("~~~\nx\n y\n~~~") != comparable("```\nx\ny\n```")
    )
    assert comparable("a\\\n\u00a0\u00a0b") != comparable("a\\\nb")


@pytest.mark.parametrize(
    ("fractions", "scoring"),
    [
        (("33.333333333333336", "33.33", "33.33333", "-100"), "balanced"),
        (("5e1", " 50.0 ", "0", "0"), "equal-parts"),
        (("50", "50", "-50", "-50"), "balanced"),
        (("100", "0", "0", "0"), "equal-parts"),
    ],
)
def test_numbers_are_read_as_moodle_reads_them(fractions, scoring):
    answers = "".join(answer(fraction, f"x{i}") for i, fraction in enumerate(fractions))
    reading = moodle_xml.read(xml(question("<single>false</single>", answers)).encode())

    assert (reading.errors, reading.notes) == ([], [])
    assert reading.items[0].scoring == scoring


def test_a_decimal_comma_ends_a_number_and_is_told():
    reading = moodle_xml.read(xml(question(answer(100, "a"), answer("-33,33", "b"))).encode())

    assert 'question "Q": the fraction "-33,33" is read as -33, as Moodle reads it' in [
        note.message for note in reading.notes
    ]


# ---- E: what is told --------------------------------------------------------------------------------------


def test_categories_become_tags_that_are_named(imported):
    result, files = imported(
        "$CATEGORY: $course$/Algebra\n\n::a::First?{=yes ~no}\n\n"
        "$CATEGORY: $course$/top/Shapes/Geometry\n::b::Second?{=yes ~no}\n",
        "f.gift",
    )

    assert "tags: [Algebra]" in files["a.en.md"] and "tags: [Shapes/Geometry]" in files["b.en.md"]
    assert 'f.gift:5: the category "Shapes/Geometry" becomes a tag of its questions' in result.stderr
    assert files["_quiz.en.md"].endswith("# Algebra\n")


def test_a_question_on_the_line_under_its_category_is_one(imported):
    result, files = imported("$CATEGORY: $course$/Week 1\n// [tag:x]\n::Q1::First?{=yes ~no}\n", "f.gift")

    assert "tags: [x]" in files["q1.en.md"] and "# Week 1" in files["_quiz.en.md"]
    assert "f.gift:3: " in result.stderr


def test_what_is_said_of_a_category_introduces_the_quiz(imported):
    info = "<category><text>top/A</text></category><info format='html'><text>About it</text></info>"
    _, files = imported(xml(f'<question type="category">{info}</question>{question(YES_NO)}'))

    assert files["_quiz.en.md"].endswith("# A\n\nAbout it\n")


def test_a_mark_and_what_nobody_knows_are_named(imported):
    result, _ = imported(xml(question("<defaultgrade>3.0000000</defaultgrade><odd>words</odd>", YES_NO)))

    assert 'question "Q": its mark of 3 is left out: every question counts one point' in result.stderr
    assert 'question "Q": its <odd> ("words") is left out' in result.stderr


def test_the_count_at_the_end_is_that_of_the_lines(imported):
    text = "::a::A?{=y ~n}\n\n::b::B?{}\n\n::c::C?{#3}\n\n::d::A?{=y ~n}\n\n::e::E?{=x ~x}\n\nwords\n"
    result, _ = imported(text, "f.gift")

    assert "1 question imported" in result.stderr and "(5 left out, see above)" in result.stderr
    assert result.stderr.count(" is left out: ") == 5


def test_of_two_that_ask_the_same_the_one_with_feedback_stays_and_another_key_is_named(imported):
    text = "::a::G {~b =e ~l} t.\n\n::b::G {~b#No. =e#Right! ~l#Not!} t.\n\n::c::G {=b ~e ~l} t.\n"
    result, files = imported(text, "f.gift")

    assert "Right" in files["b.en.md"] and "a.en.md" not in files
    assert (
        'f.gift:1: question "a" is left out: it asks the same as b.en.md with the same choices'
        in result.stderr
    )
    assert 'f.gift:5: question "c" is left out' in result.stderr
    assert 'it takes another answer for right, "b"' in result.stderr


def test_what_made_a_question_unfit_is_told_beside_it(imported):
    result, _ = imported("::a::[html]So?{=<svg><text>A</text></svg>\n~no}\n", "f.gift")

    assert result.stderr.splitlines()[:2] == [
        'f.gift:1: question "a" is left out: as a question file, choice A is empty',
        'f.gift:1: question "a": the <svg> is left out; its words are "A"',
    ]


def test_a_qti_package_gets_advice_that_the_next_step_does_not_refuse(imported, tmp_path):
    with zipfile.ZipFile(tmp_path / "q.zip", "w") as package:
        package.writestr("imsmanifest.xml", "<manifest/>")
    zipped, _ = imported((tmp_path / "q.zip").read_bytes(), "f.zip")
    inside, _ = imported("<questestinterop></questestinterop>")

    assert "f.zip is a zip: this is QTI, which is written here and not read" in zipped.stderr
    assert "f.xml:1: this is QTI, which is written here and not read" in inside.stdout


# ---- F, true/false, and hostile sizes ----------------------------------------------------------------------


def test_between_two_escapes_no_space_stands_for_moodle_would_lose_it():
    html = "<code>a</code> <em>or</em> ]]> &lt; &amp;"
    options = (Option(html, True), Option("no", False))
    sent = Item("q", "a & < b", html, options, html, True, "all-or-nothing", tags=("x < > y",))
    data = moodle_xml.write([sent], "T & <", lambda *_: None)
    (came,) = moodle_xml.read(data).items

    assert b"&lt;code&gt;" not in data and b"<![CDATA[<code>a</code> <em>or</em> ]]]]><![CDATA[> &lt;" in data
    assert (came.title, came.stem, came.options[0].html, came.tags) == (sent.title, html, html, sent.tags)


@pytest.mark.parametrize(
    ("body", "key", "feedback"),
    [("{T}", 0, ["", ""]), ("{FALSE#w#r}", 1, ["w", "r"]), ("{T#w#r####g}", 0, ["r", "w"])],
)
def test_true_or_false_in_gift(body, key, feedback):
    (item,) = gift.read(f"::t::So? {body}").items

    assert [option.html for option in item.options] == ["True", "False"]
    assert [option.correct for option in item.options].index(True) == key
    assert [option.feedback for option in item.options] == feedback
    assert (item.single, item.shuffle, item.scoring) == (True, False, "all-or-nothing")


@pytest.mark.parametrize("words", [("true", "false"), ("false", "true"), ("Wahr", "Falsch")])
def test_true_or_false_in_xml_and_out_again(words):
    right = 0 if words[0] != "false" else 1
    feedback = [f"<feedback format='html'><text>f{i}</text></feedback>" for i in range(2)]
    answers = "".join(answer(100 if i == right else 0, w, feedback[i]) for i, w in enumerate(words))
    (item,) = moodle_xml.read(xml(question(answers, kind="truefalse")).encode(), "ja").items
    told = []
    (again,) = moodle_xml.read(moodle_xml.write([item], "T", lambda *about: told.append(about))).items

    assert [(o.html, o.correct) for o in item.options] == [("正しい", True), ("誤り", False)]
    assert item.options[0].feedback == f"f{right}"
    assert (told, again.options, again.shuffle) == ([], item.options, False)


def test_equal_parts_go_out_as_they_came():
    options = (Option("a", True), Option("b", True), Option("c", False), Option("d", False))
    sent = Item("q", "T", "S?", options, "E", False, "equal-parts")
    told = []
    for module in (gift, moodle_xml):
        data = module.write([sent], "T", lambda *about: told.append(about))
        assert module.read(data).items[0].scoring == "equal-parts"
    assert told == []


@pytest.mark.parametrize(
    "piece", ["<a ", "\\(", "<br>x", "<!--", "<b>", '<a x="', "</i ", "<td>", "$$", "<ul><li>"]
)
def test_what_comes_ten_thousand_times_is_read_once(piece):
    assert to_markdown(piece * 10_000, lambda message: None) is not None


def test_an_empty_choice_is_none_and_unescaped_html_keeps_its_words(imported):
    text = '<questiontext format="html"><text><p>Which <b>one</b>?</p></text></questiontext>'
    result, files = imported(xml(question(text, YES_NO, answer(0, ""))))

    assert "Which **one**?" in files["q.en.md"] and "C." not in files["q.en.md"]
    assert 'question "Q": an empty choice of 0 % is left out' in result.stderr
