"""`steelyard export`: what other systems' own readers find in the files, for made-up questions and the whole bank."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from fractions import Fraction
from io import BytesIO
from itertools import combinations
from string import ascii_uppercase
from typing import get_args
from zipfile import ZipFile

import pytest
from click.testing import CliRunner
from moodle_xml_parser.parser import parse_bytes

from exchange.generated import questions
from exchange.moodle import read_gift
from exchange.qti_validity import DTD, QTI, assessment, problems_of
from questions import question_text
from steelyard import evidence
from steelyard.bank.load import load
from steelyard.bank.model import Scoring, Text
from steelyard.claims import Verdict
from steelyard.cli import main
from steelyard.evidence import Records
from steelyard.exchange import gift, moodle_xml, qti
from steelyard.exchange.export import item
from steelyard.exchange.grades import GRADES, grades
from steelyard.exchange.html import HtmlWriter
from steelyard.exchange.item import PLUGINFILE, Item, Option
from steelyard.exchange.words import WORDS
from steelyard.grading import score
from steelyard.settings import Settings

PNG = b"\x89PNG\r\n\x1a\n not really, but nobody looks"


@pytest.fixture
def bank(tmp_path):
    """A folder with one quiz: a question with picture, formula, claim, link, and one with several keys."""
    folder = tmp_path / "questions" / "made"
    folder.mkdir(parents=True)
    claims = (
        "techniques: [lora]\ndifficulty: 2\ntags: [memory]\nsources: ['Paper \\(1\\) §2']\nclaims:\n"
        "- {id: all, says: All., verdict: does-not-hold, tests: [{compute: '1', within: [2, null], expect: false}]}\n"
        "- {id: some, says: Some., verdict: open, only_for: x}"
    )
    one = question_text(
        front=claims,
        question="## Question\nWhat is $r^2$? ![A peak](peak.png)\n\n[see](two.en.md)\n",
        explanation="## Explanation\nIt is [all](#all), or [some](#some).\n\n### A\nRight, $$\n",
    )
    (folder / "one.en.md").write_text(one, encoding="utf-8")
    two = question_text(
        front="scoring: coverage", question="## Question\nWhich two?\n", answer="## Answer\nA, B\n"
    )
    (folder / "two.en.md").write_text(two, encoding="utf-8")
    (folder / "peak.png").write_bytes(PNG)
    (folder / "_quiz.en.md").write_text("# Made / up\n", encoding="utf-8")
    return tmp_path / "questions"


@pytest.fixture
def export(bank, tmp_path):
    def exported(name, format, *words):
        out = tmp_path / "out"
        command = ["export", name, "--format", format, "--questions", str(bank), "--out", str(out), *words]
        result = CliRunner().invoke(main, command)
        return result, out.read_bytes() if out.exists() else b""

    return exported


# ---- the texts ---------------------------------------------------------------------------------------------


def test_moodle_xml_carries_texts_pictures_tags_and_verdicts(export):
    result, data = export("made", "moodle-xml")
    category, one, two = ET.fromstring(data).findall("question")
    answers = one.findall("answer")

    assert result.exit_code == 0, result.output
    assert category.findtext("category/text") == "$course$/top/Made // up"
    assert one.findtext("questiontext/text") == (
        '<p>What is \\(r^2\\)? <img src="@@PLUGINFILE@@/made-peak.png" alt="A peak"></p>\n<p>see</p>'
    )
    assert one.find("questiontext/file").attrib == {
        "name": "made-peak.png",
        "path": "/",
        "encoding": "base64",
    }
    assert one.findtext("generalfeedback/text") == (
        "<p>It is all (does not hold), or some (not measured yet).</p>\n"
        "<p>Sources:</p>\n<ul><li>Paper \\<span>(</span>1\\) §2</li></ul>"
    )
    assert answers[0].findtext("feedback/text") == "<p>Right, $<span>$</span></p>"
    assert [tag.text for tag in one.iterfind("tags/tag/text")] == ["technique:lora", "difficulty:2", "memory"]
    assert (one.findtext("idnumber"), one.findtext("single"), two.findtext("single")) == (
        "made/one",
        "true",
        "false",
    )
    assert result.stderr.splitlines() == [
        'made/one: the link "two.en.md" leads to a page of this site: its words remain',
        "made/two: Moodle adds up a value per choice and cannot hold scoring coverage: balanced instead",
        "2 questions written to " + str(result.stderr.split()[-1]),
    ]


def test_gift_names_the_picture_that_it_cannot_hold(export):
    result, data = export("made/one", "gift")
    (read,) = read_gift(data.decode())

    assert (
        'made/one: this format holds no pictures: of "peak.png" the description remains ("A peak")'
        in result.stderr
    )
    assert read["text"] == "<p>What is \\(r^2\\)? <em>[A peak]</em></p>\n<p>see</p>"
    assert [(answer["fraction"], answer["feedback"]) for answer in read["answers"]] == [
        (1, "<p>Right, $<span>$</span></p>"),
        (0, ""),
        (0, ""),
    ]


def test_a_qti_package_is_what_its_manifest_says(export):
    result, data = export("made", "qti")
    package = ZipFile(BytesIO(data))
    manifest = ET.fromstring(package.read("imsmanifest.xml"))
    named = [file.attrib["href"] for file in manifest.iter() if file.tag.endswith("}file")]

    assert result.exit_code == 0, result.output
    assert sorted([*named, "imsmanifest.xml"]) == sorted(package.namelist())
    assert package.read("steelyard/made-peak.png") == PNG
    assert 'src="%24IMS-CC-FILEBASE%24/steelyard/made-peak.png"' in _texts(package)[0]
    assert (
        "made/two: QTI cannot hold scoring coverage: Canvas scores right minus wrong ticks" in result.stderr
    )
    assert "made/one: QTI has no tags: technique:lora, difficulty:2, memory" in result.stderr
    assert export("made", "qti")[1] == data


def test_a_foreign_picture_and_one_outside_the_folder_do_not_come_along(bank):
    told = []
    writer = HtmlWriter("made", {}, "x/", told.append)
    html = writer.html(Text("![a](../../secret.png) ![b](https://example.org/b.png) <img src='/c.png'>"))

    assert html == '<p><em>[a]</em> <a href="https://example.org/b.png">b</a> <img></p>'
    assert len(told) == 2 and writer.pictures == {}


def test_verdicts_are_worded_as_on_the_pages(app):
    from steelyard.web.text.vocabulary import verdict_words

    with app.test_request_context():
        for language, words in WORDS.items():
            for verdict in get_args(Verdict):
                for what in ("x", None):
                    assert words.verdict(verdict, what) == verdict_words(verdict, what, language)


@pytest.mark.parametrize(
    "words", ["%50% of it", "[html] is meant", "[x] y", "= ~ # {} : \\n \\\\", "-> a", "// no comment"]
)
def test_no_words_of_a_choice_are_taken_for_gift_s_own(words):
    html = HtmlWriter("", {}, None, print).html(Text(f"`x` {words}")).removeprefix("<p><code>x</code> ")[:-4]
    sent = Item(
        "", "T", "S", (Option(html, True, html), Option(f"no {html}", False)), html, True, "all-or-nothing"
    )
    (read,) = read_gift(gift.write([sent], "Made", silent))
    (came,) = gift.read(gift.write([sent], "Made", silent)).items

    assert [answer["fraction"] for answer in read["answers"]] == [1, 0]
    assert [
        found.replace("&#37;", "%") for found in (read["answers"][0]["text"], came.options[0].feedback)
    ] == [html] * 2
    assert came.options[0].html.replace("&#37;", "%") == came.explanation.replace("&#37;", "%") == html
    assert came.options[1].html == f"no {html}"


# ---- scoring -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", get_args(Scoring))
def test_what_moodle_adds_up_is_the_rule_s_score_unless_it_was_named(rule):
    """Every rule, every key of up to six choices, every answer: Moodle's sum against the rule itself."""
    for choices in range(2, 7):
        for keys in range(1, choices + 1):
            for single in [False, True] if keys == 1 else [False]:
                key = ascii_uppercase[:keys]
                options = tuple(Option(letter, letter in key) for letter in ascii_uppercase[:choices])
                told = []
                given = grades(Item("", "", "", options, "", single, rule), told.append)

                assert all(grade.lstrip("-") in (*GRADES, "0") for grade in given)
                if told:
                    continue
                for size in [1] if single else range(1, choices + 1):
                    for ticked in combinations(range(choices), size):
                        total = sum(Fraction(given[index]) for index in ticked) / 100
                        mine = score(
                            rule, choices, frozenset(key), frozenset(ascii_uppercase[i] for i in ticked)
                        )
                        assert abs(min(1, max(0, total)) - mine) < Fraction(1, 10_000), (
                            choices,
                            keys,
                            ticked,
                        )


def test_a_grade_that_moodle_lacks_is_snapped_and_named_and_a_right_answer_still_counts_whole():
    options = tuple(Option(str(n), n < 14) for n in range(26))
    told = []
    given = grades(Item("", "", "", options, "", False, "balanced"), told.append)

    assert given == ["10"] * 14 + ["-10"] * 12
    assert told[0] == "Moodle has no grade of 7.1429 %: 10 % instead"


# ---- independent readers -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def items():
    """The whole bank in both languages, and a hundred questions full of special characters."""
    settings = Settings.from_environment({})
    records = evidence.load(settings.results)
    bank = load(settings.questions)
    found = [question for versions in bank.questions.values() for question in versions.values()]
    lost = []
    made = [item(question, records, bank.root, PLUGINFILE, lost.append) for question in found]
    return made + [
        item(question, Records({}), DTD.parent, PLUGINFILE, lost.append) for question in questions(100, 7)
    ]


def _is_right(percent, item):
    """With radio buttons a wrong choice may have part of the credit, as `each-answer` gives it."""
    return percent == 100 if item.single else percent > 0


def silent(about, message):
    pass


def test_moodle_s_own_way_of_reading_gift_finds_every_text(items):
    read = read_gift(gift.write(items, "All", silent))

    assert [(question["name"], question["text"], question["generalfeedback"]) for question in read] == [
        (item.title, item.stem, item.explanation) for item in items
    ]
    for question, sent in zip(read, items, strict=True):
        assert [answer["text"] for answer in question["answers"]] == [option.html for option in sent.options]
        assert [answer["feedback"] for answer in question["answers"]] == [o.feedback for o in sent.options]
        right = [_is_right(100 * answer["fraction"], sent) for answer in question["answers"]]
        assert right == [option.correct for option in sent.options]


def test_another_reader_of_moodle_xml_finds_every_question(items):
    read = parse_bytes(moodle_xml.write(items, "All", silent))["multichoice"]

    assert [(question.name, question.single, question.shuffle_answers) for question in read] == [
        (_unescaped(item.title), item.single, item.shuffle) for item in items
    ]
    for question, sent in zip(read, items, strict=True):
        assert question.text_pre_parse == _unescaped(sent.stem)
        right = [_is_right(option.score_fraction, sent) for option in question.options]
        assert right == [option.correct for option in sent.options]
        assert [option.answer for option in question.options] == [_unescaped(o.html) for o in sent.options]


def test_qti_is_valid_by_the_published_dtd_and_its_own_processing_rewards_only_the_key(items):
    package = ZipFile(BytesIO(qti.write(items, "All", silent)))
    plain = assessment(package)

    assert problems_of(package) == []
    for element, sent in zip(plain.iter("item"), items, strict=True):
        idents = [label.get("ident") for label in element.iter("response_label")]
        assert element.findtext("presentation/material/mattext") == sent.stem
        condition = element.xpath("resprocessing/respcondition[setvar]")[-1].find("conditionvar")
        key = {i for i, option in zip(idents, sent.options, strict=True) if option.correct}
        wrong = {condition_ident(not_) for not_ in condition.iter("not")}
        assert {equal.text for equal in condition.iter("varequal")} - wrong == key
        assert wrong == (set() if sent.single else set(idents) - key)


def condition_ident(element):
    return element.find("varequal").text


def _texts(package):
    (name,) = [name for name in package.namelist() if re.fullmatch(r"(steelyard-\w+)/\1\.xml", name)]
    return [element.text for element in ET.fromstring(package.read(name)).iter(f"{QTI}mattext")]


def _unescaped(text):
    """Undo what that reader does beyond XML: it takes HTML's entities for XML's, and CDATA's marks for CDATA."""
    import html

    return html.unescape(re.sub(r"<!\[CDATA\[|\]\]>", "", text.strip()))


# ---- what cannot be exported -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message", "status"),
    [
        (["nowhere", "--format", "gift"], 'no quiz or question "nowhere"; the quizzes are made', 1),
        (["made", "--format", "gift", "--lang", "ja"], '"made" has no question in ja', 1),
        (["made", "--format", "qti"], "a zip is no text for a terminal: name its file with --out", 2),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(bank, words, message, status):
    result = CliRunner().invoke(main, ["export", *words, "--questions", str(bank)])

    assert result.exit_code == status
    assert message in result.stderr and "Traceback" not in result.output


def test_a_question_without_the_language_is_left_out_and_named(bank, export):
    text = (bank / "made" / "one.en.md").read_text(encoding="utf-8")
    (bank / "made" / "one.ja.md").write_text(text, encoding="utf-8")
    result, data = export("made", "moodle-xml", "--lang", "ja")

    assert "made/two: left out: the question is missing in ja" in result.stderr
    assert len(ET.fromstring(data).findall("question[@type='multichoice']")) == 1


def test_what_no_other_system_knows_is_named(bank, export):
    quiz = "---\nminutes: 30\n---\n# Made\n"
    (bank / "made" / "_quiz.en.md").write_text(quiz, encoding="utf-8")
    two = bank / "made" / "two.en.md"
    two.write_text(
        two.read_text(encoding="utf-8").replace("scoring: coverage", "regrade: void"), encoding="utf-8"
    )

    told = "made: an exam's options (minutes, opens, closes) are not exported: set them there"
    assert told in export("made", "gift")[0].stderr.splitlines()
    assert (
        "made/two: no other system knows regrade: void" in export("made/two", "gift")[0].stderr.splitlines()
    )
