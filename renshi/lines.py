"""Line breaks that a scraper put into sentences, as where it gave each inline element of a page a line of its own.

``当选为会⏎长，和⏎金花当选为常⏎务副会长`` is no list. A model that sees where lines end takes each for a cell, and so does
the grammar of roles. `broken_lines` finds these breaks; `renshi.text.normalize` removes them.

A paragraph's line ends with its last sentence, and the lines of a list hold none. So a line in which a sentence ends and
another begins, which then does not end, is broken off: in nine of ten such lines of real pages it goes on in the next one.
So does a long line with a sign, or one that begins as a sentence does (``会上，``), that does not end and is no headline,
where the next line ends with a sentence. Where most lines of sentences are broken off, and all are short, the page is
broken everywhere, and its other lines are pieces of sentences too. A break between two quotation marks is inside of a name.
However it was found, a break is taken for one only if the clause around it is a clause by its length; what goes on for many
lines without a sign is a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

__all__ = ["broken_lines"]

_SENTENCE_ENDS = "。！？!?"
_GOES_ON = "，、,"
_SIGNS = _GOES_ON + "；：…;:" + _SENTENCE_ENDS
_SIGN = re.compile("[" + re.escape(_GOES_ON + "；;。") + "]")
_STOPS = frozenset(_SENTENCE_ENDS + ".；;")
_QUOTES = "”’\"'」』）)"
_CLOSING = (_SIGNS + ".”’\"'」』）)】》]〉>").translate(dict.fromkeys(map(ord, _GOES_ON)))
_FEWEST, _SHARE = 3, 0.6
"""Of the lines in which a sentence ends and another begins: how many are broken off on a page that is broken everywhere, and
what share."""
_BEGINS = re.compile(
    "(?:[^，,]{0,8}(?:会|座谈|仪式|活动|培训|论坛)上|[^，,]{0,10}(?:[上下]午|[今昨同当次]日|[会随赛课]后|期间|同时)|此外|近日|日前)[，,]"
)
_LONG = 30
"""Characters of a line that is no heading, though it has a sign."""
_PAIRS = dict(zip("“「『《（(", "”」』》）)", strict=True))
_MARKS = "".join(_PAIRS) + "".join(_PAIRS.values())
_OPENED = re.compile(f"([{''.join(_PAIRS)}])[^{_MARKS}]*\\Z")
_CLOSED = re.compile(f"[^{_MARKS}]*([{''.join(_PAIRS.values())}])")
_LONGEST_IN_MARKS = 40
"""Characters, the marks included."""
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
    runs_on = _run_on(lines, goes_on)
    if not broken_off and not any(runs_on):  # most pages: their clauses need not be looked at
        return
    everywhere = broken_off >= max(_FEWEST, _SHARE * sum(turn)) and len(text) < _SHORT * sum(map(bool, lines))
    inside = dict(_breaks_in_clauses(text, signs, breaks))
    end, belongs = -1, False  # belongs: to the line before
    for line, has_turn, is_open, runs in zip(lines, turn, goes_on, runs_on, strict=True):
        start, end = end + 1, end + 1 + len(line)
        belongs = belongs or has_turn
        begin = start + len(line.rstrip(" "))
        if begin in inside and (everywhere or runs or (belongs and is_open)):
            yield begin, inside[begin]
        else:
            belongs = False


def _run_on(lines: Sequence[str], goes_on: Sequence[bool]) -> Sequence[bool]:
    """Of each line, whether it goes on in the next one by what both are as a whole."""
    headline = next((number for number, line in enumerate(lines) if line.strip(" ")), len(lines))
    runs_on = [False] * len(lines)
    ends = False  # whether the next line does, or goes on in one that does
    for number in range(len(lines) - 1, -1, -1):
        line = lines[number].strip(" ")
        if goes_on[number] and number + 1 < len(lines):
            is_sentence = bool(_BEGINS.match(line) or (len(line) >= _LONG and _SIGN.search(line)))
            by_length = ends and number > headline and is_sentence
            runs_on[number] = by_length or _in_marks(line, lines[number + 1].strip(" "))
        ends = runs_on[number] or line.rstrip(_QUOTES)[-1:] in _STOPS
    return runs_on


def _in_marks(line: str, following: str) -> bool:
    """Whether a pair of marks begins in one line and ends in the next; in round brackets also stand lists, of all but Latin
    words."""
    opened, closed = _OPENED.search(line), _CLOSED.match(following)
    if not opened or not closed or len(opened[0] + closed[0]) > _LONGEST_IN_MARKS:
        return False
    return _PAIRS[opened[1]] == closed[1] and (opened[1] not in "（(" or line[-1:].isascii())


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
    before = f"(?:(?<=[{inner}])|(?<=[{han}A-Za-z][·-]))"
    item = "(?:[0-9]{1,2}|[一二三四五六七八九十]{1,3})[、.]|[（(][0-9一二三四五六七八九十]{1,3}[）)]"
    return (
        re.compile(f"[{_SENTENCE_ENDS}][”’\"'」』）)]{{0,2}}(?=[{han}])|(?<=[{han}])[.](?=[{han}])"),
        re.compile(f"[{re.escape(_SIGNS)}]|{stop}|\n *\n|\n {{2,}}"),
        re.compile(f"{before} *\n ?(?!{item})(?=[{inner}。；;])"),
    )
