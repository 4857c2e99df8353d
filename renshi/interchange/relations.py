"""Roles as relations between two spans, as annotation tools draw them, and back.

A role has three parts, a relation two ends. The title stands in the middle:

    holds   TITLE → PER     who holds the title
    at      TITLE → ORG     in which organization

All persons that hold a title hold it at all its organizations: 甲、乙任省学会副会长 is two ``holds`` and one ``at``
from the one title. A title without ``at`` gives roles without an organization. A title without ``holds`` gives no role,
for a role has a person and a title; for the same reason a person and an organization without a title have no relation.

Where different persons hold one title in different organizations (甲、乙分别任东院、西院院长), the plain relations would say
too much. Then a number tells which belong together: ``holds`` and ``at``, ``holds-2`` and ``at-2``, … one number for each
organization, and one for those without. So any list of distinct roles becomes relations from which the same list is
read, in the same order; the tests try every small one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from renshi.records import Entity, Role

__all__ = ["RELATIONS", "Relation", "to_relations", "to_roles"]

RELATIONS: dict[str, str] = {"holds": "PER", "at": "ORG"}
"""The kinds of relation, by the label of the end that is no title."""

_TYPE = re.compile(r"(holds|at)(?:-([1-9][0-9]{0,5}))?")


class Relation(NamedTuple):
    """A relation from one span to another, each called as its tool calls it (here: an index into the entities)."""

    type: str
    source: object
    target: object


def to_relations(roles: Sequence[Role]) -> list[Relation]:
    """The relations that say the same as `roles`, which must be distinct; every role adds one at least, in order."""
    persons: defaultdict[int, set[int]] = defaultdict(set)
    organizations: defaultdict[int, dict[int | None, int]] = defaultdict(dict)
    for role in roles:
        persons[role.title].add(role.person)
        numbers = organizations[role.title]
        numbers.setdefault(role.organization, len(numbers) + 1)
    relations: dict[Relation, None] = {}
    for role in roles:
        numbers = organizations[role.title]
        plain = len(persons[role.title]) == 1 and None not in numbers
        number = 1 if plain else numbers[role.organization]
        suffix = "" if number == 1 else f"-{number}"
        relations[Relation(f"holds{suffix}", role.title, role.person)] = None
        if role.organization is not None:
            relations[Relation(f"at{suffix}", role.title, role.organization)] = None
    return list(relations)


def to_roles(relations: Iterable[Relation], entities: Sequence[Entity], wrong: Callable[[str], None]) -> list[Role]:
    """The roles that `relations` between indices of `entities` state, in the order in which they become complete.

    A relation may be drawn in either direction, and without a type: the labels of its ends tell. What is no relation of
    a role goes to `wrong`, by its reason.
    """
    groups: defaultdict[tuple[int, str], dict[str, dict[int, int]]] = defaultdict(lambda: {"holds": {}, "at": {}})
    for position, relation in enumerate(relations):
        read = _read(relation, entities)
        if isinstance(read, str):
            wrong(read)
        else:
            kind, number, title, other = read
            groups[title, number][kind].setdefault(other, position)
    found: list[tuple[int, int, Role]] = []
    for (title, _), group in groups.items():
        if not group["holds"]:
            wrong("titles with an organization but no person; draw holds from the title to a person")
        for person, position in group["holds"].items():
            if not group["at"]:
                found.append((position, position, Role(person, title, None)))
            for organization, other in group["at"].items():
                found.append((max(position, other), min(position, other), Role(person, title, organization)))
    found.sort(key=lambda item: item[:2])
    return list(dict.fromkeys(role for *_, role in found))


def _read(relation: Relation, entities: Sequence[Entity]) -> tuple[str, str, int, int] | str:
    """(kind, number, title, other end) of a relation, or why it is none."""
    source, target = relation.source, relation.target
    assert isinstance(source, int)
    assert isinstance(target, int)
    ends = {entities[end].label: end for end in (source, target)}
    expected = {kind for kind, label in RELATIONS.items() if ends.keys() == {"TITLE", label}}
    match = _TYPE.fullmatch(relation.type) if relation.type else None
    if relation.type and not match:
        return f"relations of type {relation.type!r}, where types are holds and at (holds-2, at-2 …)"
    kind = match[1] if match else next(iter(expected), "")
    if kind not in expected:
        between = " and ".join(entities[end].label for end in (source, target))
        return f"relations {relation.type or 'without type'} between {between}; holds joins TITLE and PER, at TITLE and ORG"
    return kind, (match[2] if match else None) or "1", ends["TITLE"], ends[RELATIONS[kind]]
