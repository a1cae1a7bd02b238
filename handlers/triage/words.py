"""Free text as words that can be compared: folded to plain lower-case letters, separated by single blanks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

LETTERS = str.maketrans(
    {"ł": "l", "Ł": "L", "ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "œ": "oe"}
)  # NFKD keeps them
SEPARATORS = re.compile(r"[^a-z0-9%+<>=]+")


def fold(text: str) -> str:
    """Return the text in lower case without accents; "Spätarteriell" becomes "spatarteriell"."""
    decomposed = unicodedata.normalize("NFKD", text.translate(LETTERS))
    return "".join(each for each in decomposed if not unicodedata.combining(each)).lower()


def words(text: str) -> str:
    """Return the folded words with one blank before, between and after them, so that " word " finds one."""
    return f" {SEPARATORS.sub(' ', fold(text)).strip()} "


def alternatives(wanted: Iterable[str]) -> str:
    """Return phrases as alternatives of a pattern, the longest first; a star is the rest of a word."""
    ordered = sorted(wanted, key=len, reverse=True)
    return "|".join(re.escape(each).replace(r"\*", "[a-z0-9]*").replace(r"\ ", " ") for each in ordered)


@cache
def phrases(*wanted: str) -> re.Pattern[str]:
    """Compile phrases into one pattern over `words`.

    The blank after a phrase is looked at, not consumed, so that phrases may follow each other.
    """
    return re.compile(rf" (?:{alternatives(wanted)})(?= )")


def first(text: str, wanted: Iterable[str]) -> str:
    """Return the first of the phrases found in the text, as it stands there folded; "" when there is none."""
    found = phrases(*wanted).search(words(text))
    return found.group().strip() if found else ""
