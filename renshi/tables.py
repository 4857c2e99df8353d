"""Tables to documents: a row is a document, one column its text and, if there is one, another its id."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

from renshi.encoding import AUTO, detect_beginning
from renshi.records import Document, Failure
from renshi.streams import ReadError

if TYPE_CHECKING:
    from pyarrow import Array

__all__ = ["Columns", "read_csv", "read_parquet"]

_LONGEST_FIELD = 1 << 25
"""Characters of one field of a CSV file: where a quotation mark is never closed, the rest of the file is one field."""
_ROWS = 256
"""Rows of a Parquet file in memory at a time: enough that a batch's fixed cost is nothing beside its rows'."""
_PAGE = 1 << 20
_ESCAPED = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table, or keys of a JSON line, hold a document's text and its id. No `id`: that which is called
    ``id``, if there is one; a document without it is named by its place."""

    text: str = "text"
    id: str | None = None

    def places(self, found: Sequence[str]) -> tuple[int, int | None]:
        """Where among the columns `found` they stand. Raises `ReadError`."""
        for wanted, option in ((self.text, "--text-column"), (self.id, "--id-column")):
            if wanted is not None and found.count(wanted) != 1:
                has = f"has the column {wanted!r} more than once" if wanted in found else f"has no column {wanted!r}"
                raise ReadError(f"{has} (its columns: {_listed(found)}); name it with {option}")
        id = self.id or "id"
        return found.index(self.text), found.index(id) if id in found else None


def _listed(names: Sequence[str], most: int = 20) -> str:
    return ", ".join(map(repr, names[:most])) + (" …" if len(names) > most else "") if names else "none"


_BEGINNING = 1 << 16  # bytes from which the encoding is found out


def read_csv(
    name: str, file: IO[bytes], encoding: str, columns: Columns, delimiter: str = ","
) -> Iterator[Document | Failure]:
    """The rows below the header, as RFC 4180 has them: fields in quotation marks may hold line ends, and a quotation mark
    in one is doubled. A row that is not so is a `Failure` named by its first line, and the next one is read.

    Raises:
        ReadError: There is no such column, or the encoding cannot go on after an error.
    """
    if encoding.lower() == AUTO:
        beginning = io.BufferedReader(cast("io.RawIOBase", file), _BEGINNING)
        file, encoding = beginning, detect_beginning(beginning.peek(_BEGINNING))
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))  # of the process; the default is 131,072
    known = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    # Bytes that are not of the encoding come through as escapes, so that they cost their own row only.
    stream = io.TextIOWrapper(file, known, errors="surrogateescape", newline="")
    rows = csv.reader(stream, delimiter=delimiter, strict=True)
    places: tuple[int, int | None] | None = None
    width = 0
    while True:
        place, before = f"{name}:{rows.line_num + 1}", rows.line_num
        try:
            row = next(rows)
        except StopIteration:
            if places is None:  # not even a header
                columns.places([])
            return
        except csv.Error as error:
            yield Failure(place, "CsvError", f"{place}: is not CSV ({_why(error, rows.line_num - before)})")
            continue
        except UnicodeError as error:
            raise ReadError(
                f"is not valid {encoding} ({error}); name its encoding, such as --encoding utf-8"
            ) from error
        if places is None:
            places, width = columns.places(row), len(row)
        elif row:  # an empty line is no row
            yield _csv_document(place, row, places, width, encoding)


def _why(error: csv.Error, lines: int) -> str:
    if "unexpected end" in str(error):
        behind = f", and what follows it to the end of the file, {lines} lines, was taken for its text"
        return f"a quotation mark in this row is never closed{behind if lines > 1 else ''}"
    if "field larger" in str(error):
        return f"a field has more than {_LONGEST_FIELD:,} characters: is a quotation mark never closed?"
    return f"{error}; in a field in quotation marks, a quotation mark is doubled"


def _csv_document(
    place: str, row: list[str], places: tuple[int, int | None], width: int, encoding: str
) -> Document | Failure:
    text_place, id_place = places
    if len(row) <= text_place or any(row[width:]):
        message = f"{place}: has {len(row)} fields, and the header {width}; a field with the separator in it is quoted"
        return Failure(place, "CsvError", message)
    text = row[text_place]
    id = row[id_place] if id_place is not None and id_place < len(row) and row[id_place] else place
    wrong = _ESCAPED.search(text) or _ESCAPED.search(id)
    if wrong:
        byte = ord(wrong[0]) - 0xDC00
        message = (
            f"{place}: byte 0x{byte:02x} is not valid {encoding}; name the encoding that it is in, such as --encoding "
            f"{'gb18030' if codecs.lookup(encoding).name == 'utf-8' else 'utf-8'}"
        )
        return Failure(place, "UnicodeDecodeError", message)
    return Document(id, text)


def read_parquet(name: str, file: IO[bytes], _: str, columns: Columns) -> Iterator[Document | Failure]:
    """The rows of a Parquet file, a few hundred at a time. A null, or bytes that are not UTF-8, are a `Failure` named by the
    row, counted from 1.

    Raises:
        ReadError: There is no such column, it holds no text, the file is damaged, or pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ReadError('.parquet files need the package pyarrow: pip install "renshi[parquet]"') from error
    number = 0
    try:
        # A column's pages one after the other, not the whole of a row group, which may be a million rows.
        table = parquet.ParquetFile(file, buffer_size=_PAGE, pre_buffer=False)
        schema = table.schema_arrow
        text_place, id_place = columns.places(schema.names)
        wanted = [schema.names[place] for place in (text_place, id_place) if place is not None]
        if not _holds_text(schema.field(text_place).type):
            raise ReadError(
                f"its column {wanted[0]!r} is of type {schema.field(text_place).type}; a text is a string: name another "
                "column with --text-column"
            )
        for batch in table.iter_batches(batch_size=_ROWS, columns=wanted, use_threads=False):
            texts = _bytes(batch.column(wanted[0]))
            ids = batch.column(wanted[1]).to_pylist() if len(wanted) == 2 else [None] * len(texts)
            for id, text in zip(ids, texts, strict=True):
                number += 1
                yield _parquet_document(f"{name}:{number}", id, text)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ReadError(f"is damaged or cut short ({reason}); get or write it anew") from error


def _holds_text(type: Any) -> bool:
    from pyarrow import types

    kind = type.value_type if types.is_dictionary(type) else type
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _bytes(array: Array) -> list[bytes | None]:
    """The texts undecoded: pyarrow decodes a whole batch or, where one is wrong, none of it."""
    import pyarrow

    plain = array.dictionary_decode() if pyarrow.types.is_dictionary(array.type) else array
    values: list[bytes | None] = plain.cast(pyarrow.large_binary()).to_pylist()
    return values


def _parquet_document(place: str, id: object, text: bytes | None) -> Document | Failure:
    named = place if id is None or id == "" else str(id)
    if text is None:
        return Failure(named, "TypeError", f"{place}: its text is null; a text is a string")
    try:
        return Document(named, text.decode("utf-8"))
    except UnicodeDecodeError as error:
        message = (
            f"{place}: byte {error.start} (0x{text[error.start]:02x}) of its text is not valid UTF-8, as Parquet wants"
        )
        return Failure(named, "UnicodeDecodeError", message)
