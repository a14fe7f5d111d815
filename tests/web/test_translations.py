"""Every word of the pages is said in Japanese, and the compiled catalogue is that of the text."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

import steelyard.web

WEB = Path(steelyard.web.__file__).parent
FOLDER = WEB / "translations" / "ja" / "LC_MESSAGES"
UPDATE = 'docs/maintaining.md, "Translations", has the commands that extract, update and compile'


@pytest.fixture(scope="module")
def words() -> set[object]:
    with (WEB / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    found = extract_from_dir(str(WEB), methods, options)
    return {message for _, _, message, _, _ in found}


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    return read_po(BytesIO((FOLDER / "messages.po").read_bytes()), locale="ja")


def _several(text: object) -> tuple[object, ...]:
    return tuple(text) if isinstance(text, list | tuple) else (text,)


def test_no_word_is_missing_and_none_is_left_over(words, catalogue):
    translated = {message.id for message in catalogue if message.id}

    assert words - translated == set(), UPDATE
    assert translated - words == set(), UPDATE


def test_every_word_is_translated_and_none_is_doubtful(catalogue):
    for message in catalogue:
        strings = _several(message.string)
        assert all(strings) or not message.id, f"{message.id!r} has no translation"
        assert not message.fuzzy or not message.id, f"{message.id!r} is marked fuzzy"


def test_translations_fill_in_what_the_words_do(catalogue):
    def names(text: str) -> set[str]:
        return set(re.findall(r"%\((\w+)\)s", text))

    for message in catalogue:
        if not message.id:
            continue
        ids = _several(message.id)
        strings = _several(message.string)
        assert {frozenset(names(text)) for text in strings} == {frozenset(names(ids[-1]))}, message.id


def test_a_per_cent_sign_begins_a_name_and_nothing_else(catalogue):
    """Templates format every text: another sign of that kind would break the page."""
    for message in catalogue:
        for text in (*_several(message.id), *_several(message.string)) if message.id else ():
            assert not re.findall(r"%(?!\(\w+\)s)", str(text)), text


def test_the_compiled_catalogue_is_current(catalogue):
    def said(catalog: Catalog) -> set[tuple[str, ...]]:
        pairs = [(message.id, message.string) for message in catalog if message.id]
        return {tuple(str(text) for side in pair for text in _several(side)) for pair in pairs}

    compiled = read_mo(BytesIO((FOLDER / "messages.mo").read_bytes()))

    assert said(compiled) == said(catalogue), UPDATE
