"""Cut a text into windows that a model can read at once: whole sentences, packed up to the model's length.

A cut is made at the best kind of place that the room allows (the table `CUTS`). Behind the end of a sentence, or of a
line, nothing of the next window is lost by not seeing the last; where a sentence itself must be cut, the windows
overlap, so that every word of it is seen with what stands around it.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = ["Window", "split_windows"]


class Window(NamedTuple):
    """``text[start:end]`` of one document. What lies in two windows is decided by the one that owns it, `[first, last)`:
    owned parts follow each other without gap or overlap."""

    start: int
    end: int
    first: int
    last: int


class _Cut(NamedTuple):
    after: re.Pattern[str]
    overlap: bool  # whether the next window begins earlier than the cut


# Kinds of places to cut behind, best first.
CUTS: tuple[_Cut, ...] = (
    _Cut(re.compile(r"[。！？!?…]+[”’」』）)】》\"]*\s*|\n\s*\n"), overlap=False),
    _Cut(re.compile(r"\n|；|;|[ \t]{2,}"), overlap=False),  # scrapers break lines anywhere, so second to the above
    _Cut(re.compile(r"[，,]"), overlap=True),
    _Cut(re.compile(r"[、：:\s]"), overlap=True),
)
_SMALLEST_SHARE = 1 / 3
"""A cut that would leave a window shorter than this share of the room is passed over for one of the next kind, except
the best kind: sentences stay whole as long as they can."""


def split_windows(text: str, length: int, overlap: int) -> list[Window]:
    """Windows of at most `length` characters that cover `text`, in order; none for an empty text.

    Args:
        text: The normalized text of one document.
        length: The most characters a window may have.
        overlap: How many characters of the last window the next sees again where a sentence is cut; below `length` / 2.
    """
    if not 0 <= 2 * overlap < length:
        raise ValueError(f"overlap {overlap} is not between 0 and half the length {length}")
    return list(_windows(text, length, overlap))


def _windows(text: str, length: int, overlap: int) -> Iterator[Window]:
    # Arrays, as a list of so many numbers takes nine times the memory: ten megabytes of line breaks are tolerable so.
    ends = ((match.end() for match in cut.after.finditer(text)) for cut in CUTS) if len(text) > length else ()
    places = [array("I", found) for found in ends]
    start = first = 0
    while len(text) - start > length:
        end, overlapping = _next_cut(places, max(start, first), start + length, length)
        back = min(overlap, end - first - 1) if overlapping else 0
        # Inside an overlap each window decides its own half: the half with more context on both sides.
        last = end - back // 2
        yield Window(start, end, first, last)
        start, first = end - back, last
    if start < len(text):
        yield Window(start, len(text), first, len(text))


def _next_cut(places: Sequence[Sequence[int]], start: int, limit: int, length: int) -> tuple[int, bool]:
    """The last good place in ``(start, limit]``, and whether a sentence is cut there."""
    for kind, (cut, ends) in enumerate(zip(CUTS, places, strict=True)):
        index = bisect_right(ends, limit) - 1
        least = start + 1 if kind == 0 else start + length * _SMALLEST_SHARE
        if index >= 0 and ends[index] >= least:
            return ends[index], cut.overlap
    return limit, True
