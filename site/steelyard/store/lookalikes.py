"""Names that look alike: `аnna` with a Cyrillic а, `ＡＮＮＡ` and `anna` are one name to a reader.

After Unicode's Technical Standard 39 (security mechanisms) and Annex 31 (recommended scripts), cut down to
what a pseudonym needs: keys that look-alikes share, and a bound on the scripts of one name. Two that share
one need not look alike to everybody; whoever comes second only has to choose another one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that show nothing; format characters are no part of a name anyway."""

_TO_LATIN = {
    # Cyrillic
    **dict(zip("АВЕЅІЈКМНОРСТУХҮԌԚԜӀЗГЬѴӨ", "ABESIJKMHOPCTYXYGQWI3rbVO", strict=True)),
    **dict(zip("авеѕіјкмнорстухүԍԛԝӏзгьѵһԁӨө", "abesijkmhopctyxygqwl3rbvhdOo", strict=True)),
    # Greek
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϺ", "ABEZHIKMNOPTYXCM", strict=True)),
    **dict(zip("αβεηικνορτυχγςϲωϳ", "aBenikvoptuxycCwj", strict=True)),
    # Armenian
    **dict(zip("ՍՏՕԼԱաօոսհցզյլք", "USOLUwonuhgqjlp", strict=True)),
    # Latin letters that hardly differ
    **dict(zip("ɑɡɩıȷʋɴʀʙ", "agiijvNRB", strict=True)),
}
_SMALL_CAPITAL = re.compile("LATIN LETTER SMALL CAPITAL ([A-Z])")
_SAME_STROKE = str.maketrans({"i": "l", "1": "l", "|": "l", "0": "o", "m": "rn", "w": "vv"})

_EAST_ASIAN = frozenset(
    ("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO", "HANGUL", "LATIN")
)
"""Scripts that stand beside one another in names, as the first words of their letters' names."""
_OTHERS = frozenset(
    (
        *("ARABIC", "ARMENIAN", "BENGALI", "CYRILLIC", "DEVANAGARI", "ETHIOPIC", "GEORGIAN", "GREEK"),
        *("GUJARATI", "GURMUKHI", "HEBREW", "KANNADA", "KHMER", "LAO", "MALAYALAM", "MYANMAR", "ORIYA"),
        *("SINHALA", "TAMIL", "TELUGU", "THAANA", "THAI", "TIBETAN"),
    )
)
"""Scripts that stand alone. Whatever is in neither list is rare today, and good for imitating others."""


@lru_cache(maxsize=4096)
def likenesses(name: str) -> frozenset[str]:
    """Return what a name has in common with names that can be taken for it; nothing if it shows nothing.

    It is a string for those that differ in case, and one for those that look alike: `Ν` looks like `N`, and
    its own small letter `ν` like `v`.
    """
    seen = _UNSEEN.sub("", unicodedata.normalize("NFKD", name))
    latin = unicodedata.normalize("NFKD", "".join(map(_latin, seen)).casefold())
    both = unicodedata.normalize("NFKC", seen.casefold()), latin.translate(_SAME_STROKE)
    return frozenset(" ".join(key.split()) for key in both if key.strip())


def mixes_scripts(name: str) -> bool:
    """Whether a name's letters are of several scripts that do not go together, or of a rare one."""
    letters = (char for char in unicodedata.normalize("NFKD", name) if char.isalpha())
    scripts = {unicodedata.name(char, "?").partition(" ")[0] for char in letters} - {"MODIFIER"}
    return not scripts <= _EAST_ASIAN and not (len(scripts) == 1 and scripts <= _OTHERS)


def _latin(char: str) -> str:
    if char in _TO_LATIN:
        return _TO_LATIN[char]
    if unicodedata.category(char) == "Pd" or char == "\u2212":  # dashes, and the minus sign
        return "-"
    if char in "‘’ʼ´`ʹ′":
        return "'"
    small = _SMALL_CAPITAL.fullmatch(unicodedata.name(char, ""))
    return small[1] if small else char
