"""Wide spaces inside of spans: where one column of a page ends and the next begins, a name ends too.

A tokenizer drops white space, and between ideographs `renshi.text.normalize` closes it up, so the network reads
``急诊科   新生儿科   护理部`` as one name and ``招远航　男`` as another. Lists of persons `renshi.rosters` parts beforehand,
by form alone; what all other wide spaces are shows when the spans around them are known. No body's name goes over one, and
of a title only characters set apart (``会　长``). A person's does where its characters are set apart, as ``王　强`` and
``曾　巩固`` are, and between Latin words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from renshi.records import Entity
from renshi.rosters import WIDE
from renshi.text import Normalized, space_width

__all__ = ["cut_at_columns"]

_LONGEST = 3
"""Characters of a name or title that may each be set apart."""
_SHORTEST = {"ORG": 3}
"""Characters of a piece of a name, else 2: shorter ones that stand alone in a column are no bodies (``亞軍　大業高工``)."""
_BEHIND_NAMES = "男女文图摄终"
"""Words of a table's column and of an imprint, which even a narrow space parts from a name: ``（晏殊明 文／占小满 图）``."""


def cut_at_columns(normalized: Normalized, entities: Sequence[Entity]) -> list[Entity]:
    """The entities of the normalized text, sorted as they came; those that go over wide spaces, and are no events, in their
    pieces. Of these, what is too short and what has digits are left out (``男``, ``4D``)."""
    parted: list[Entity] = []
    for entity in entities:
        pieces = [] if entity.label.startswith("EVENT") else list(_pieces(normalized, entity))
        if len(pieces) < 2:
            parted.append(entity)
            continue
        names = _persons(normalized.text, pieces) if entity.label == "PER" else _others(pieces)
        if names == [(entity.start, entity.end)]:
            parted.append(entity)
            continue
        for start, end in names:
            words = normalized.text[start:end]
            if len(words) >= _SHORTEST.get(entity.label, 2) and not any(map(str.isdigit, words)):
                parted.append(Entity(start, end, words, entity.label, entity.score))
    return parted


def _pieces(normalized: Normalized, entity: Entity) -> Iterator[tuple[int, int]]:
    """What stands between the wide spaces of an entity, as spans of the normalized text."""
    text, raw, starts, ends = normalized.text, normalized.raw, normalized.starts, normalized.ends
    start = entity.start
    first, last = normalized.to_raw(entity.start, entity.end)
    if last - first == len(entity.text) and not any(map(str.isspace, raw[first:last])):  # most have no space
        return
    places = [place for place in range(entity.start, entity.end) if not raw[starts[place]].isspace()]
    for number, (before, place) in enumerate(pairwise(places)):
        between = raw[ends[before] : starts[place]]
        if not between.isspace() or "\n" in between:
            continue
        # 占小满 图, but not 陈 大 文
        joined = number > 0 and starts[before] == ends[places[number - 1]]
        behind = joined and place == entity.end - 1 and text[place] in _BEHIND_NAMES
        if behind or space_width(between) >= WIDE:
            yield start, before + 1
            start = place
    yield start, entity.end


def _are_single(pieces: Sequence[tuple[int, int]]) -> bool:
    """Whether each is one character."""
    return all(end - start == 1 for start, end in pieces)


def _others(pieces: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Titles and bodies: each piece is one, but for single characters, which are one together."""
    if len(pieces) <= _LONGEST and _are_single(pieces):
        return [(pieces[0][0], pieces[-1][1])]
    return pieces


def _persons(text: str, pieces: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Persons: a piece of one character begins a name that the next one ends, and so does one of two where both together
    are a name; two Latin words are one too."""
    if len(pieces) == _LONGEST and _are_single(pieces):
        return [(pieces[0][0], pieces[-1][1])]
    names = list[tuple[int, int]]()
    number = 0
    while number < len(pieces):
        start, end = pieces[number]
        number += 1
        if number < len(pieces):
            begin, after = pieces[number]
            size, given = end - start, after - begin
            alone = given == 1 and text[begin] in _BEHIND_NAMES
            latin = text[end - 1].isascii() and text[begin].isascii()
            apart = size == 1 or (size == 2 == len(pieces) and not alone)
            if text[begin:after].isalpha() and ((apart and given <= 2) or latin):
                end, number = after, number + 1
        names.append((start, end))
    return names
