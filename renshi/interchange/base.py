"""What all formats share: the report of what went wrong or was left out, what a format can hold, spans to a record."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from renshi.interchange.relations import Relation, to_roles
from renshi.labels import LABELS
from renshi.records import Entity, Failure, Record, Role

__all__ = ["Format", "InterchangeError", "Report", "Span", "assemble", "holds", "keep_entities", "utf8_problem"]


class InterchangeError(ValueError):
    """A path, a format or a package that cannot be used at all; the message says what to do."""


@dataclass(slots=True)
class Report:
    """What was not carried over: `wrong` in the input (the exit status tells), `lost` because the target has no place
    for it; by reason, with the first places of each."""

    wrong: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    _places: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add_wrong(self, reason: str, place: str) -> None:
        self._add(self.wrong, reason, place, 1)

    def add_lost(self, reason: str, place: str, number: int = 1) -> None:
        if number:
            self._add(self.lost, reason, place, number)

    def _add(self, counter: Counter[str], reason: str, place: str, number: int) -> None:
        counter[reason] += number
        places = self._places[reason]
        if len(places) < 3 and place not in places:
            places.append(place)

    def sentences(self) -> Iterator[str]:
        """One sentence for each reason, such as ``left out: 12 roles (a.txt, b.txt)``."""
        for verb, counter in (("not read", self.wrong), ("left out", self.lost)):
            for reason, number in sorted(counter.items()):
                yield f"{verb}: {number:,} {reason} ({', '.join(self._places[reason])})"


Fit = Callable[[Record, Report], "Record | Failure"]


class RecordWriter(Protocol):
    """A `renshi.writers.Writer`, or the same for a folder, which gives back why it could not write a record."""

    def write(self, record: Record | Failure) -> Failure | None: ...

    def end(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Format:
    """A format as the table of formats has it.

    Attributes:
        read: Path (a file, or a folder where `folder` or `either`) and report to records.
        writer: Made with an open text stream (`renshi.writers.Writer`), or with a folder's path where `folder`.
        fit: The record as this format holds it, what it cannot hold counted; a `Failure` where that is nothing. What
            comes out of it is read back exactly.
        folder: Whether it is written as a folder.
        suffixes: Of its files; the first is the usual one.
        what: For the help and for error messages.
    """

    read: Callable[[Path, Report], Iterator[Record | Failure]]
    writer: Callable[[Any], RecordWriter]
    fit: Fit
    suffixes: tuple[str, ...]
    what: str
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """An entity as a tool names it: `key` is how its relations call it."""

    key: object
    start: int
    end: int
    label: str
    score: float = 1.0


def assemble(
    place: str,
    id: str,
    text: str,
    spans: Iterable[Span],
    relations: Iterable[Relation],
    report: Report,
    model: str = "",
) -> Record | Failure:
    """The record of a tool's spans and relations: entities sorted, roles made of the relations.

    A span outside the text makes a `Failure`, for then all may be shifted; labels and relations that mean nothing here
    are reported and left out.
    """
    chosen = []
    for span in spans:
        if not 0 <= span.start < span.end <= len(text):
            return Failure(
                id,
                "ValueError",
                f"{place}: its span [{span.start}, {span.end}) {span.label} is not in its text, which has {len(text)} "
                "characters; spans are half-open and count Unicode code points",
            )
        if span.label in LABELS:
            chosen.append(span)
        else:
            report.add_wrong(f"spans labelled {span.label!r}, where labels are {', '.join(LABELS[:4])} …", place)
    chosen.sort(key=lambda span: (span.start, -span.end))
    index = {span.key: number for number, span in enumerate(chosen)}
    entities = [Entity(s.start, s.end, text[s.start : s.end], s.label, s.score) for s in chosen]
    known = []
    for relation in relations:
        if relation.source in index and relation.target in index:
            known.append(Relation(relation.type, index[relation.source], index[relation.target]))
        else:
            report.add_wrong("relations to a span that is not there", place)
    roles = to_roles(known, entities, lambda reason: report.add_wrong(reason, place))
    return Record(id, text, entities, roles, model=model)


def keep_entities(record: Record, indices: Sequence[int], report: Report, reason: str) -> Record:
    """The record with these of its entities, and the roles and rosters all of whose parts are among them."""
    if len(indices) == len(record.entities):
        return record
    report.add_lost(reason, record.id, len(record.entities) - len(indices))
    new = {old: number for number, old in enumerate(indices)}
    roles = [
        Role(new[r.person], new[r.title], None if r.organization is None else new[r.organization], r.score)
        for r in record.roles
        if {r.person, r.title, r.organization} - {None} <= new.keys()
    ]
    rosters = [replace(roster, title=new[roster.title]) for roster in record.rosters if roster.title in new]
    report.add_lost("roles of entities that are left out", record.id, len(record.roles) - len(roles))
    report.add_lost("rosters of titles that are left out", record.id, len(record.rosters) - len(rosters))
    return replace(record, entities=[record.entities[old] for old in indices], roles=roles, rosters=rosters)


def _flatten(record: Record, report: Report) -> Record:
    """Of entities that share characters the first stays, of those that begin together the longest."""
    order = sorted(
        range(len(record.entities)), key=lambda index: (record.entities[index].start, -record.entities[index].end)
    )
    kept: list[int] = []
    for index in order:
        if not kept or record.entities[kept[-1]].end <= record.entities[index].start:
            kept.append(index)
    return keep_entities(record, kept, report, "entities inside or across another one")


def _without_repeated_roles(record: Record, report: Report) -> Record:
    roles = list({(role.person, role.title, role.organization): role for role in reversed(record.roles)}.values())
    report.add_lost("roles that were there twice", record.id, len(record.roles) - len(roles))
    return replace(record, roles=roles[::-1])


def _without_scores(record: Record, report: Report) -> Record:
    report.add_lost("scores of entities", record.id, sum(entity.score != 1.0 for entity in record.entities))
    return replace(record, entities=[replace(entity, score=1.0) for entity in record.entities])


def _without_role_scores(record: Record, report: Report) -> Record:
    report.add_lost("scores of roles", record.id, sum(role.score != 1.0 for role in record.roles))
    return replace(record, roles=[replace(role, score=1.0) for role in record.roles])


def _without_roles(record: Record, report: Report) -> Record:
    report.add_lost("roles", record.id, len(record.roles))
    return replace(record, roles=[])


def _without_model(record: Record, report: Report) -> Record:
    report.add_lost("marks that a model, not a person, made the annotation", record.id, bool(record.model))
    return replace(record, model="")


def _without_findings(record: Record, report: Report) -> Record:
    report.add_lost("rosters", record.id, len(record.rosters))
    report.add_lost("event types", record.id, len(record.event_types))
    return replace(record, rosters=[], event_types=[])


# In the order in which they are applied: what leaves out entities goes before what counts roles.
_FEATURES: dict[str, Callable[[Record, Report], Record]] = {
    "overlaps": _flatten,
    "roles": _without_roles,
    "repeated roles": _without_repeated_roles,
    "role scores": _without_role_scores,
    "scores": _without_scores,
    "model": _without_model,
    "findings": _without_findings,
}


def holds(*features: str, then: Fit | None = None, surrogates: bool = False) -> Fit:
    """A `Format.fit` for a format that holds entities without overlap and these `features` besides; `then` goes on with
    what is the format's own."""
    assert not set(features) - set(_FEATURES), features

    def fit(record: Record, report: Report) -> Record | Failure:
        if not surrogates and (problem := utf8_problem(record)):
            return problem
        for feature, leave_out in _FEATURES.items():
            if feature not in features:
                record = leave_out(record, report)
        return then(record, report) if then else record

    return fit


def utf8_problem(record: Record) -> Failure | None:
    """What is wrong with a record that is to become UTF-8, if anything."""
    try:
        record.text.encode("utf-8")
        record.id.encode("utf-8")
    except UnicodeEncodeError as error:
        return Failure(
            record.id,
            "UnicodeEncodeError",
            f"{record.id!a}: holds a lone surrogate (U+{ord(error.object[error.start]):04X}), which this format, being "
            "UTF-8, cannot hold; records can",
        )
    return None
