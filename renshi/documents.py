"""Files to documents, one at a time: what cannot be read becomes a `Failure` in its place, and the reading goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from renshi.encoding import AUTO, EncodingError, decode_text
from renshi.inputs import Skipped, expand, explain
from renshi.pages import PAGES, PageError, page_text
from renshi.records import Document, Failure
from renshi.streams import PACKINGS, ReadError, open_stream
from renshi.tables import Columns, read_csv, read_parquet

__all__ = ["ACCEPTED", "SUFFIXES", "Columns", "Skipped", "accepts", "read_documents"]


def read_documents(
    inputs: Sequence[str],
    encoding: str = AUTO,
    columns: Columns | None = None,
    skipped: Skipped | None = None,
    start: int = 0,
) -> Iterator[Document | Failure]:
    """The documents of all inputs, in order, read as they are asked for.

    Args:
        inputs: Paths of ``.txt`` files and the pages of `renshi.pages` (one document each); ``.jsonl`` files (an object
            with ``text``, and ``id`` if it has one, a line), ``.csv``, ``.tsv`` and ``.parquet`` files (one a row); folders
            of such files, at any depth, and patterns such as ``pages/**/*.txt``. All but ``.docx``, ``.pdf`` and
            ``.parquet`` may be packed: ``.gz`` or ``.zst`` behind the suffix. ``-`` is standard input, one document.
        encoding: Of the text files, of standard input, of ``.csv`` and ``.tsv``, and of HTML that declares none; ``auto``
            finds it out where that is sure (`renshi.encoding`). JSON lines are UTF-8 by definition, and Parquet's texts too.
        columns: Which columns of a table, or keys of a JSON line, are the text and the id.
        skipped: Counts the files in folders and patterns that are no input.
        start: How many documents to pass over at the beginning; files of one document are then not even opened.

    A text is taken as it stands, line breaks included, for offsets count the user's own characters; only a byte order
    mark at its beginning is dropped. Of a page, offsets count the text that was extracted from it. A document is named by
    its path, or by its ``id``, or by path and line or row. Of a file that is damaged or cut short, what stands before the
    damage is read, and a `Failure` follows.

    Raises:
        LookupError: Python knows no such encoding.
    """
    columns = columns or Columns()
    for name in expand(inputs, accepts, skipped):
        if start and (isinstance(name, Failure) or _is_one_document(name)):
            start -= 1
            continue
        for item in [name] if isinstance(name, Failure) else _read(name, encoding, columns):
            if start:
                start -= 1
            else:
                yield item


def _read(name: str, encoding: str, columns: Columns) -> Iterator[Document | Failure]:
    count = 0
    try:
        for item in [_read_standard_input(encoding)] if name == "-" else _read_file(name, encoding, columns):
            yield item
            count += 1
    except (OSError, ReadError) as error:
        message = explain(name, error) if isinstance(error, OSError) else f"{name}: {error}"
        before = f"; the {count:,} documents before that were read" if count else ""
        yield Failure(name, type(error).__name__, message + before)


def _read_standard_input(encoding: str) -> Document | Failure:
    if sys.stdin is None:  # `<&-`, or a process without a console
        return Failure("-", "ValueError", "-: standard input is closed; name a file, or send one: < page.txt")
    return _decode("-", sys.stdin.buffer.read(), encoding)


def _read_file(name: str, encoding: str, columns: Columns) -> Iterator[Document | Failure]:
    path = Path(name)
    kind = _kind_of(name)
    if kind is None and path.exists():
        suffix = "".join(path.suffixes[-2:]) if path.suffix.lower() in PACKINGS else path.suffix or "no suffix"
        message = f"{name}: has {suffix}; accepted are {ACCEPTED}, and - for standard input"
        yield Failure(name, "ValueError", message)
    else:
        with open_stream(path) as file:
            yield from (kind or _KINDS[".txt"]).read(name, file, encoding, columns)


def _read_text(name: str, file: IO[bytes], encoding: str, _: Columns) -> Iterator[Document | Failure]:
    yield _decode(name, file.read(), encoding)


def _read_page(name: str, file: IO[bytes], encoding: str, _: Columns, *, suffix: str) -> Iterator[Document | Failure]:
    try:
        yield Document(name, page_text(file.read(), suffix, encoding))
    except PageError as error:
        yield Failure(name, type(error).__name__, f"{name}: {error}")


def _read_json_lines(name: str, file: IO[bytes], _: str, columns: Columns) -> Iterator[Document | Failure]:
    return read_json_lines(name, file, columns)


def read_json_lines(
    name: str, lines: Iterable[bytes], columns: Columns, first: int = 1
) -> Iterator[Document | Failure]:
    """The documents of some lines of a file of JSON lines, of which the first has the number `first`."""
    for number, line in enumerate(lines, start=first):
        place = f"{name}:{number}"
        decoded = _decode(
            place, line, "utf-8", "JSON lines are UTF-8, whatever --encoding says: save the file as UTF-8"
        )
        if isinstance(decoded, Failure):
            yield decoded
        elif decoded.text.strip():
            yield _parse(place, decoded.text, columns)


def _parse(place: str, line: str, columns: Columns) -> Document | Failure:
    try:
        item = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply or a number too long"
        return Failure(
            place, "JSONDecodeError", f'{place}: is not JSON ({reason}); a line is {{"id": "…", "text": "…"}}'
        )
    if not isinstance(item, dict):
        return Failure(
            place, "TypeError", f'{place}: is a JSON {_kind(item)}; a line is an object, {{"id": "…", "text": "…"}}'
        )
    id, text = item.get(columns.id or "id", place), item.get(columns.text)
    if isinstance(id, bool) or not isinstance(id, (str, int, float)):
        return Failure(place, "TypeError", f"{place}: its id is a JSON {_kind(id)}; an id is a string or a number")
    for wanted in (columns.text, columns.id):
        if wanted is not None and wanted not in item:
            keys = ", ".join(map(repr, list(item)[:5])) or "none"
            message = f'{place}: has no "{wanted}" (its keys: {keys}); a line is {{"id": "…", "{columns.text}": "…"}}'
            return Failure(str(id), "KeyError", message)
    if not isinstance(text, str):
        return Failure(str(id), "TypeError", f"{place}: its text is a JSON {_kind(text)}; a text is a string")
    return Document(str(id), text)


def _kind(value: object) -> str:
    return {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}.get(
        type(value), "number"
    )


def _decode(name: str, data: bytes, encoding: str, advice: str = "") -> Document | Failure:
    try:
        return Document(name, decode_text(data, encoding, advice))
    except EncodingError as error:
        return Failure(name, "UnicodeDecodeError", f"{name}: {error}")


@dataclass(frozen=True, slots=True)
class _FileKind:
    """How a kind of file is read; whether it is one document, and whether it may be packed, being read in a stream."""

    read: Callable[[str, IO[bytes], str, Columns], Iterator[Document | Failure]]
    one_document: bool = False
    may_be_packed: bool = True


_KINDS: dict[str, _FileKind] = {
    ".txt": _FileKind(_read_text, one_document=True),
    ".jsonl": _FileKind(_read_json_lines),
    ".csv": _FileKind(read_csv),
    ".tsv": _FileKind(partial(read_csv, delimiter="\t")),
    **{
        suffix: _FileKind(
            partial(_read_page, suffix=suffix), one_document=True, may_be_packed=suffix.startswith(".htm")
        )
        for suffix in sorted(PAGES, key=lambda suffix: not suffix.startswith(".htm"))
    },
    ".parquet": _FileKind(read_parquet, may_be_packed=False),  # its end is read first
}

SUFFIXES: tuple[str, ...] = tuple(_KINDS)
"""Of the files that are read, unpacked."""

ACCEPTED = (
    f"{', '.join(suffix for suffix, kind in _KINDS.items() if kind.may_be_packed)} (also {' and '.join(PACKINGS)}), "
    f"{', '.join(suffix for suffix, kind in _KINDS.items() if not kind.may_be_packed)}"
)


def _kind_of(name: str) -> _FileKind | None:
    suffix, packing = _suffixes(name)
    kind = _KINDS.get(suffix)
    return None if kind is None or (packing and not kind.may_be_packed) else kind


def _suffixes(name: str) -> tuple[str, str]:
    """``.jsonl``, ``.gz``; the second is empty where the file is not packed."""
    path = Path(name.lower())
    return (path.with_suffix("").suffix, path.suffix) if path.suffix in PACKINGS else (path.suffix, "")


def accepts(name: str) -> bool:
    """Whether a file of this name is read."""
    return _kind_of(name) is not None


def _is_one_document(name: str) -> bool:
    kind = _kind_of(name)
    return name == "-" or kind is None or kind.one_document
