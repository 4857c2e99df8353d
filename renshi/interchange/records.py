"""`records`: our own JSON lines, as `renshi extract` writes them; they hold all there is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from renshi.interchange.base import Report
from renshi.interchange.lines import json_lines
from renshi.labels import EVENT_TYPES, LABELS
from renshi.records import SCHEMA, Entity, EventType, Failure, Record, Role, Roster
from renshi.writers import JsonlWriter

__all__ = ["RecordsWriter", "from_dict", "read"]

RecordsWriter = JsonlWriter


def read(path: Path, report: Report) -> Iterator[Record | Failure]:
    """The records of a file. What `renshi extract` could not read is a failure here too."""
    for place, item in json_lines(path, '{"id": …, "text": …, "entities": […], "roles": […]}'):
        yield item if isinstance(item, Failure) else from_dict(item, place)


def from_dict(item: Mapping[str, Any], place: str) -> Record | Failure:
    """The record of its JSON object (`Record.to_dict`), or what is wrong with it."""
    id = item.get("id", place)
    if isinstance(id, bool) or not isinstance(id, (str, int, float)):
        return Failure(place, "TypeError", f"{place}: its id is {_shown(id)}; an id is a string or a number")
    id = str(id)
    if isinstance(item.get("error"), Mapping):
        return Failure(id, "ValueError", f"{place}: is a document that failed ({item['error'].get('message')})")
    try:
        if item.get("schema", SCHEMA) != SCHEMA:
            raise ValueError(f"its schema is {item['schema']!r}; this version reads {SCHEMA}")
        record = Record(
            id,
            _string(item["text"], "text"),
            [Entity(**entity) for entity in item.get("entities", [])],
            [Role(**role) for role in item.get("roles", [])],
            [Roster(**roster) for roster in item.get("rosters", [])],
            [EventType(**event) for event in item.get("event_types", [])],
            _string(item.get("model", ""), "model"),
        )
        _check(record)
    except KeyError as error:
        return Failure(id, "KeyError", f"{place}: has no {error}; a record has id, text, entities and roles")
    except (TypeError, ValueError) as error:
        return Failure(id, type(error).__name__, f"{place}: is no record ({error})")
    return record


def _string(value: object, name: str) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"its {name} is {_shown(value)}, where a string is expected")


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:40]


def _check(record: Record) -> None:
    """Raises `ValueError` where the parts do not fit together, `TypeError` where a number is none."""
    for name in ("entities", "roles", "event_types"):
        for item in getattr(record, name):
            if isinstance(item.score, bool) or not isinstance(item.score, (int, float)):
                raise TypeError(f"a score in its {name} is {_shown(item.score)}, where a number is expected")
            if not (math.isfinite(item.score) and 0 <= item.score <= 1):
                raise ValueError(f"a score in its {name} is {item.score}; scores are 0 to 1")
    for roster in record.rosters:
        for name in ("claimed", "found"):
            number = getattr(roster, name)
            if isinstance(number, bool) or not isinstance(number, int):
                raise TypeError(f"{name} in its rosters is {_shown(number)}, where a whole number is expected")
    for entity in record.entities:
        if entity.label not in LABELS:
            raise ValueError(f"label {entity.label!r} is unknown; labels are {', '.join(LABELS)}")
        if not 0 <= entity.start < entity.end <= len(record.text):
            raise ValueError(
                f"entity [{entity.start}, {entity.end}) is not in the text of {len(record.text)} characters"
            )
        if record.text[entity.start : entity.end] != entity.text:
            there = record.text[entity.start : entity.end]
            raise ValueError(f"entity [{entity.start}, {entity.end}) is {entity.text!r}, but {there!r} stands there")
    for role in record.roles:
        parts = [(role.person, "PER"), (role.title, "TITLE")]
        parts += [] if role.organization is None else [(role.organization, "ORG")]
        for index, label in parts:
            _expect(record, index, label, "role")
    for roster in record.rosters:
        _expect(record, roster.title, "TITLE", "roster")
    for event in record.event_types:
        if event.type not in EVENT_TYPES:
            raise ValueError(f"event type {event.type!r} is unknown; types are {', '.join(EVENT_TYPES)}")


def _expect(record: Record, index: int, label: str, what: str) -> None:
    if not 0 <= index < len(record.entities):
        raise ValueError(f"a {what} names entity {index}, where there are {len(record.entities)}")
    if record.entities[index].label != label:
        raise ValueError(f"a {what} names entity {index} as {label}, but it is {record.entities[index].label}")
