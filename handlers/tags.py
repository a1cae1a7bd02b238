"""Tags of the data dictionary, one object each: a header finds its elements by identity, not by comparing.

pydicom looks up a keyword, makes a new tag and compares it in Python code at every access. A
header is asked about a hundred attributes, so that for thousands of instances this took most of
the time of judging them.
"""

from __future__ import annotations

from functools import cache

from pydicom.datadict import keyword_dict, tag_for_keyword
from pydicom.tag import BaseTag

KNOWN: dict[int, BaseTag] = {number: BaseTag(number) for number in keyword_dict.values()}


def tag(number: int) -> BaseTag:
    """Return the tag of this number: the same object each time, when the dictionary has it."""
    return KNOWN.get(number) or BaseTag(number)


@cache
def tag_of(keyword: str) -> BaseTag | None:
    """Return the tag of a keyword; None when the dictionary has no such keyword."""
    number = tag_for_keyword(keyword)
    return None if number is None else tag(number)
