"""Records to tables: pandas or polars data frames, one kind of row a table.

from renshi import Extractor, to_dataframe

roles = to_dataframe(Extractor.from_pretrained().extract(pages), "roles")
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

from renshi.labels import event_type
from renshi.records import Entity, Failure, Record

__all__ = ["BACKENDS", "TABLES", "need", "to_dataframe", "to_dataframes"]

Row = tuple[Any, ...]

_DTYPES = {
    "pandas": {"text": "string", "whole": "int64", "real": "float64", "place": "Int64"},
    "polars": {"text": "String", "whole": "Int64", "real": "Float64", "place": "Int64"},
}
"""The columns' types in each backend; a place is an offset that may be missing."""


def to_dataframe(records: Iterable[Record | Failure], kind: str = "entities", backend: str = "pandas") -> Any:
    """One table of the records: a `pandas.DataFrame` or a `polars.DataFrame`.

    Args:
        records: What `Extractor.extract` yields; read once, to the end.
        kind: One of `TABLES`: ``documents`` (a row for each document, failed ones too, with the error), ``entities``,
            ``roles`` (texts and offsets of person, title and organization), ``rosters``, ``event_types``.
        backend: ``pandas`` or ``polars``.

    Every table names its document in the column ``document``, by which tables are joined. Offsets are code points of the
    document's text, as in the records; lone surrogates, which no column of text can hold, become ``?``, one for one.

    Warns:
        UserWarning: Documents failed, and the table asked for has no place to say so.

    Raises:
        ValueError: There is no such kind of table, or no such backend.
        ImportError: The backend is not installed; the message says what to install.
    """
    return _read(records, [kind], backend)[kind]


def to_dataframes(
    records: Iterable[Record | Failure], kinds: Iterable[str] | None = None, backend: str = "pandas"
) -> dict[str, Any]:
    """Several tables (by default all) from one reading of the records, by kind; otherwise as `to_dataframe`."""
    return _read(records, list(TABLES if kinds is None else kinds), backend)


def _read(records: Iterable[Record | Failure], kinds: list[str], backend: str) -> dict[str, Any]:
    for kind in kinds:
        if kind not in TABLES:
            raise ValueError(f"there is no table {kind!r}; tables are {', '.join(TABLES)}")
    if backend not in BACKENDS:
        raise ValueError(f"there is no backend {backend!r}; backends are {', '.join(BACKENDS)}")
    make = BACKENDS[backend](need(backend, backend))

    rows: dict[str, list[Row]] = {kind: [] for kind in kinds}
    failed = 0
    for record in records:
        if not isinstance(record, (Record, Failure)):
            raise TypeError(f"a {type(record).__name__} is no record; give what Extractor.extract() yields")
        failed += isinstance(record, Failure)
        for kind in kinds:
            rows[kind] += TABLES[kind][1](record)
    if failed and "documents" not in kinds:
        warnings.warn(
            f"{failed} {'document' if failed == 1 else 'documents'} failed and left no row here; "
            'the table "documents" has them, with their errors',
            stacklevel=3,  # the caller of to_dataframe or to_dataframes
        )
    return {kind: make(TABLES[kind][0], rows[kind]) for kind in kinds}


def need(module: str, extra: str) -> Any:
    """An optional package. Raises ImportError that says how it is installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f'{module.partition(".")[0]} is not installed: pip install "renshi[{extra}]"') from error


def _documents(record: Record | Failure) -> Iterator[Row]:
    if isinstance(record, Failure):
        yield record.id, None, 0, 0, None, "", record.type, record.message
    else:
        first = record.event_types[0].type if record.event_types else None
        yield record.id, record.text, len(record.entities), len(record.roles), first, record.model, None, None


def _entities(record: Record | Failure) -> Iterator[Row]:
    if isinstance(record, Record):
        for entity in record.entities:
            yield (
                record.id, entity.start, entity.end, entity.text, entity.label, event_type(entity.label), entity.score,
            )  # fmt: skip


def _roles(record: Record | Failure) -> Iterator[Row]:
    if isinstance(record, Record):
        for role in record.roles:
            person, title = record.entities[role.person], record.entities[role.title]
            organization = None if role.organization is None else record.entities[role.organization]
            parts: list[Entity | None] = [person, title, organization]
            offsets = [place for part in parts for place in ((part.start, part.end) if part else (None, None))]
            yield (record.id, *(part.text if part else None for part in parts), role.score, *offsets)


def _rosters(record: Record | Failure) -> Iterator[Row]:
    if isinstance(record, Record):
        for roster in record.rosters:
            title = record.entities[roster.title]
            yield record.id, title.text, roster.claimed, roster.found, title.start, title.end


def _event_types(record: Record | Failure) -> Iterator[Row]:
    if isinstance(record, Record):
        for rank, event in enumerate(record.event_types):
            yield record.id, rank, event.type, event.score


TABLES: dict[str, tuple[dict[str, str], Callable[[Record | Failure], Iterator[Row]]]] = {
    "documents": (
        {"document": "text", "text": "text", "entities": "whole", "roles": "whole", "event_type": "text", "model": "text",
         "error_type": "text", "error": "text"}, _documents,
    ),
    "entities": (
        {"document": "text", "start": "whole", "end": "whole", "text": "text", "label": "text",
         "event_type": "text", "score": "real"}, _entities,
    ),
    "roles": (
        {"document": "text", "person": "text", "title": "text", "organization": "text", "score": "real",
         "person_start": "whole", "person_end": "whole", "title_start": "whole", "title_end": "whole",
         "organization_start": "place", "organization_end": "place"}, _roles,
    ),
    "rosters": (
        {"document": "text", "title": "text", "claimed": "whole", "found": "whole",
         "title_start": "whole", "title_end": "whole"}, _rosters,
    ),
    "event_types": ({"document": "text", "rank": "whole", "event_type": "text", "score": "real"}, _event_types),
}  # fmt: skip
"""Each kind of table: its columns with their types, and the rows that a record gives. Event types are named as in records,
without ``EVENT.``; ``rank`` 0 is the most salient."""

Make = Callable[[dict[str, str], list[Row]], Any]


def _columns(types: dict[str, str], rows: list[Row]) -> Iterator[tuple[str, str, list[Any]]]:
    for number, (name, kind) in enumerate(types.items()):
        values = [row[number] for row in rows]
        yield name, kind, [_encodable(value) for value in values] if kind == "text" else values


def _encodable(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").decode("utf-8")


def _pandas(pandas: Any) -> Make:
    return lambda types, rows: pandas.DataFrame(
        {name: pandas.array(values, dtype=_DTYPES["pandas"][kind]) for name, kind, values in _columns(types, rows)}
    )


def _polars(polars: Any) -> Make:
    return lambda types, rows: polars.DataFrame(
        [
            polars.Series(name, values, getattr(polars, _DTYPES["polars"][kind]))
            for name, kind, values in _columns(types, rows)
        ]
    )


BACKENDS: dict[str, Callable[[Any], Make]] = {"pandas": _pandas, "polars": _polars}
