"""`doccano`: JSON lines with entities and relations, as doccano's sequence labelling with relations imports and exports.

Offsets are code points, half-open: doccano's server is Python, slices its texts so, and its annotation view converts. (A
project with "Count grapheme clusters as one character" switched on counts otherwise; leave it off.) Spans have no text of
their own here, so a shift cannot be noticed; one outside the text is.

doccano numbers the documents itself and passes other keys through, so an id travels as ``document``. Span ids are unique in
the file, as doccano's importer keys them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from renshi.interchange.base import Report, Span, assemble, holds
from renshi.interchange.lines import json_lines
from renshi.interchange.relations import Relation, to_relations
from renshi.records import Failure, Record
from renshi.writers import Writer

__all__ = ["DoccanoWriter", "fit", "read"]

_FORM = (
    '{"text": …, "entities": [{"id", "label", "start_offset", "end_offset"}], '
    '"relations": [{"from_id", "to_id", "type"}]}'
)


def _not_empty(record: Record, report: Report) -> Record | Failure:
    if record.text:
        return record
    return Failure(record.id, "ValueError", f"{record.id}: has no text, which doccano refuses")


fit = holds("overlaps", "roles", surrogates=True, then=_not_empty)


class DoccanoWriter(Writer):
    """One object a line."""

    def begin(self) -> None:
        self._spans = self._relations = 0  # so many are written

    def write(self, record: Record | Failure) -> None:
        if isinstance(record, Failure):
            return
        first = self._spans + 1
        entities = [
            {"id": first + index, "label": entity.label, "start_offset": entity.start, "end_offset": entity.end}
            for index, entity in enumerate(record.entities)
        ]
        relations = [
            {
                "id": self._relations + number,
                "from_id": first + relation.source,  # type: ignore[operator]
                "to_id": first + relation.target,  # type: ignore[operator]
                "type": relation.type,
            }
            for number, relation in enumerate(to_relations(record.roles), start=1)
        ]
        self._spans += len(entities)
        self._relations += len(relations)
        item = {"text": record.text, "entities": entities, "relations": relations, "document": record.id}
        line = json.dumps(item, ensure_ascii=False)
        self._stream.write(line.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def read(path: Path, report: Report) -> Iterator[Record | Failure]:
    """Also reads exports without relations, whose spans are triples in ``label``."""
    for place, item in json_lines(path, _FORM):
        if isinstance(item, Failure):
            yield item
            continue
        try:
            yield _read_item(item, place, report)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            yield Failure(
                place, type(error).__name__, f"{place}: is no document of doccano ({what}); a line is {_FORM}"
            )


def _read_item(item: Mapping[str, Any], place: str, report: Report) -> Record | Failure:
    text = item["text"]
    if not isinstance(text, str):
        raise TypeError(f"its text is a JSON {type(text).__name__}")
    id = str(item.get("document", item.get("id", place)))
    spans = [
        Span(entity["id"], int(entity["start_offset"]), int(entity["end_offset"]), str(entity["label"]))
        for entity in item.get("entities") or []
    ]
    spans += [
        Span(("label", number), int(start), int(end), str(label))
        for number, (start, end, label) in enumerate(item.get("label") or item.get("labels") or [])
    ]
    relations = [
        Relation(str(relation.get("type") or ""), relation["from_id"], relation["to_id"])
        for relation in item.get("relations") or []
    ]
    return assemble(place, id, text, spans, relations, report)
