"""Line breaks that a scraper put into sentences, as where it gave each inline element of a page a line of its own.

``当选为会⏎长，和⏎金花当选为常⏎务副会长`` is no list. A model that sees where lines end takes each for a cell, and so does
the grammar of roles. `broken_lines` finds these breaks; `renshi.text.normalize` removes them.

A paragraph's line ends with its last sentence, and the lines of a list hold none. So a line in which a sentence ends and
another begins, which then does not end, is broken off: in nine of ten such lines of real pages it goes on in the next one.
Where most of them are, and lines are short, the page is broken everywhere, and its other lines are pieces of sentences too.
Either way a break is taken for one only if the clause around it is a clause by its length; what goes on for many lines
without a sign is a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

__all__ = ["broken_lines"]

_SENTENCE_ENDS = "。！？!?"
_GOES_ON = "，、,"
_SIGNS = _GOES_ON + "；：…;:" + _SENTENCE_ENDS
_CLOSING = (_SIGNS + ".”’\"'」』）)】》]〉>").translate(dict.fromkeys(map(ord, _GOES_ON)))
_FEWEST, _SHARE = 3, 0.6
"""Of the lines in which a sentence ends and another begins: how many are broken off on a page that is broken everywhere, and
what share."""
_SHORT = 40
"""Characters: the lines of such a page have fewer on average."""
_LONGEST_CLAUSE, _MOST_BREAKS = 60, 8
"""Characters and line breaks from one sign to the next."""


def broken_lines(text: str, han: str) -> Iterator[tuple[int, int]]:
    """Spans of white space with one line feed that stand inside of sentences.

    Args:
        text: Its white space is spaces and line feeds.
        han: The ideographs, as the inside of a regular expression's class.
    """
    turns, signs, breaks = _patterns(han)
    lines = text.split("\n")
    turn = [turns.search(line) is not None for line in lines]
    goes_on = [line.rstrip(" ")[-1:] not in _CLOSING for line in lines]  # an empty line does not
    broken_off = sum(a and b for a, b in zip(turn, goes_on, strict=True))
    if not broken_off:  # most pages: their clauses need not be looked at
        return
    everywhere = broken_off >= max(_FEWEST, _SHARE * sum(turn)) and len(text) < _SHORT * sum(map(bool, lines))
    inside = dict(_breaks_in_clauses(text, signs, breaks))
    end, belongs = -1, False  # belongs: to the line before
    for line, has_turn, is_open in zip(lines, turn, goes_on, strict=True):
        start, end = end + 1, end + 1 + len(line)
        belongs = belongs or has_turn
        begin = start + len(line.rstrip(" "))
        if begin in inside and (everywhere or (belongs and is_open)):
            yield begin, inside[begin]
        else:
            belongs = False


def _breaks_in_clauses(text: str, signs: re.Pattern[str], breaks: re.Pattern[str]) -> Iterator[tuple[int, int]]:
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
    is indented; breaks with what belongs to a sentence on both sides, and is no number of an item."""
    stop = f"(?<=[{han}])[.](?=[{han} \n])"
    inner = f"{han}A-Za-z0-9，、,“‘《「『”’》）)」』"  # no bracket opens here, or what follows would be pinyin
    item = "(?:[0-9]{1,2}|[一二三四五六七八九十]{1,3})[、.]|[（(][0-9一二三四五六七八九十]{1,3}[）)]"
    return (
        re.compile(f"[{_SENTENCE_ENDS}][”’\"'」』）)]{{0,2}}(?=[{han}])|(?<=[{han}])[.](?=[{han}])"),
        re.compile(f"[{re.escape(_SIGNS)}]|{stop}|\n *\n|\n {{2,}}"),
        re.compile(f"(?<=[{inner}]) *\n ?(?!{item})(?=[{inner}。；;])"),
    )
