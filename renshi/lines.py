"""Line breaks that a scraper put into sentences, as where it gave each inline element of a page a line of its own.

``当选为会⏎长，和⏎金花当选为常⏎务副会长`` is no list. A model that sees where lines end takes each for a cell, and so does
the grammar of roles. `broken_lines` finds these breaks; `renshi.text.normalize` removes them.

A page has them where its sentences begin in one line and end in another: a paragraph's line ends with its last sentence, and
the lines of a list hold none. There a break is one of them if the clause in which it stands is a clause by its length; what
goes on for many lines without a sign is a list all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

__all__ = ["broken_lines"]

_SENTENCE_ENDS = "。！？!?"
_SIGNS = "，、；：…,;:" + _SENTENCE_ENDS
_CLOSING = _SIGNS + ".”’\"'」』）)】》]〉>"
_FEWEST, _SHARE = 3, 0.6
"""Of the lines within which a sentence ends and another begins: how many must be broken off, and what share."""
_LONGEST_CLAUSE, _MOST_BREAKS = 60, 8
"""Characters and line breaks from one sign to the next."""


def broken_lines(text: str, han: str) -> Iterator[tuple[int, int]]:
    """Spans of white space with one line feed that stand inside of sentences.

    Args:
        text: Its white space is spaces and line feeds.
        han: The ideographs, as the inside of a regular expression's class.
    """
    turns, signs, breaks = _patterns(han)
    lines = [line.rstrip(" ") for line in text.split("\n") if turns.search(line)]
    broken_off = sum(line[-1] not in _CLOSING for line in lines)
    if broken_off < max(_FEWEST, _SHARE * len(lines)):
        return
    begin = 0
    for sign in signs.finditer(text):
        end = sign.start() + 1  # a line may begin with the sign
        if sign[0][0] != "\n" and end - begin <= _LONGEST_CLAUSE:
            found = [match.span() for match in breaks.finditer(text, begin, end)]
            if len(found) <= _MOST_BREAKS:
                yield from found
        begin = sign.end()


@cache
def _patterns(han: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Where a sentence ends and another begins, in one line; signs, and what else ends a clause: a blank line, or one that
    is indented; breaks with what belongs to a sentence on both sides."""
    stop = f"(?<=[{han}])[.](?=[{han} \n])"
    return (
        re.compile(f"[{_SENTENCE_ENDS}][”’\"'」』）)]{{0,2}}(?=[{han}])|(?<=[{han}])[.](?=[{han}])"),
        re.compile(f"[{re.escape(_SIGNS)}]|{stop}|\n *\n|\n {{2,}}"),
        re.compile(f"(?<=[{han}，、,“‘《（「『”’》）」』]) *\n ?(?=[{han}，、。；,“‘《（「『”’》）」』])"),
    )
