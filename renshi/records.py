"""The types that go in and come out: documents, and the records made of them.

One convention everywhere: a span is half-open, ``[start, end)``, in Python `str` indices into a named text, and
``text[start:end]`` is the mention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["SCHEMA", "Document", "Entity", "EventType", "Failure", "Record", "Role", "Roster"]

SCHEMA = 1
"""Version of the record's form, raised when a reader of the old form would go wrong."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text to read, and the name that its record will bear."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Entity:
    """A mention: ``text`` is what stands at ``[start, end)``; ``score`` is a probability in [0, 1]."""

    start: int
    end: int
    text: str
    label: str
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Role:
    """Who holds which post where: each part an index into the record's entities; `organization` may be None."""

    person: int
    title: int
    organization: int | None
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Roster:
    """A list that says how long it is (`等12名同志任副主任委员`): `title` is an index into the record's entities,
    `claimed` the number that the text states, `found` how many named persons were read."""

    title: int
    claimed: int
    found: int


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of event that the document reports, without the prefix ``EVENT.``; `score` in [0, 1]."""

    type: str
    score: float


@dataclass(frozen=True, slots=True)
class Record:
    """What was read in one document. Offsets are indices into `text`, which is the document's text untouched."""

    id: str
    text: str
    entities: Sequence[Entity] = ()
    roles: Sequence[Role] = ()
    rosters: Sequence[Roster] = ()
    event_types: Sequence[EventType] = ()
    model: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The record as the JSON object of the output contract."""
        return {
            "id": self.id,
            "text": self.text,
            # `dataclasses.asdict` copies every number and string, and took as long as a small model.
            **{
                name: [{field: getattr(item, field) for field in kept} for item in getattr(self, name)]
                for name, kept in _FIELDS.items()
            },
            "model": self.model,
            "schema": SCHEMA,
        }


_LISTS = {"entities": Entity, "roles": Role, "rosters": Roster, "event_types": EventType}
_FIELDS = {name: tuple(field.name for field in fields(kind)) for name, kind in _LISTS.items()}


@dataclass(frozen=True, slots=True)
class Failure:
    """A document that could not be read or processed; it takes the record's place in the output."""

    id: str
    type: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "error": {"type": self.type, "message": self.message}, "schema": SCHEMA}
