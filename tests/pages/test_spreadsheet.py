"""CSV that is opened in spreadsheets: nothing of it becomes a formula, and what it holds comes back."""

from __future__ import annotations

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steelyard.web.text.spreadsheet import safe, to_csv

SIGNS = "=+-@＝＋－＠﹢﹣﹦﹫"
SEPARATORS = ';,|\t\n\r"；，｜'


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", ["", " ", "\u00a0", *SEPARATORS, "anna; ", 'anna" '])
def test_no_sign_begins_a_formula_however_cells_are_separated(before, sign):
    assert safe(f"{before}{sign}1").endswith(f"{before}'{sign}1")


@pytest.mark.parametrize(
    "text", ["amber-heron-41", "a+b", "a@b.example", "0.5", "", "2027-01-15 09:00", "basics/first", "1 - 2"]
)
def test_what_begins_no_formula_stays_as_it_is(text):
    assert safe(text) == text


@pytest.mark.parametrize("before", ["\t", "\r", "\n"])
def test_what_begins_with_a_control_character_is_made_harmless(before):
    assert safe(f"{before}x") == f"'{before}x"


@given(st.text(max_size=20) | st.text(SIGNS + SEPARATORS + " x", max_size=10))
def test_whatever_separates_cells_none_of_them_begins_with_a_sign(text):
    written = safe(text)

    for separator in SEPARATORS:
        assert not [cell for cell in written.split(separator) if cell.strip()[:1] in {*SIGNS}]
    assert [char for char in written if char != "'"] == [char for char in text if char != "'"]


def test_texts_are_quoted_and_numbers_stay_numbers():
    written = to_csv([("name", "score"), ('a"b', -0.5), ("=1", None)])

    assert written.splitlines() == ['"name","score"', '"a""b","-0.5"', '"\'=1",""']
    assert list(csv.reader(StringIO(written)))[1] == ['a"b', "-0.5"]
