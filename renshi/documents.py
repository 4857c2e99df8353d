"""Files to documents, one at a time: what cannot be read becomes a `Failure` in its place, and the reading goes on."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from renshi.pages import PAGES, PageError, page_text
from renshi.records import Document, Failure

__all__ = ["SUFFIXES", "read_documents"]


def read_documents(inputs: Sequence[str], encoding: str = "utf-8") -> Iterator[Document | Failure]:
    """The documents of all inputs, in order.

    Args:
        inputs: Paths of ``.txt`` files (one document each), ``.jsonl`` files (an object with ``text``, and ``id`` if
            it has one, a line), and the pages of `renshi.pages`; ``-`` is standard input, one document.
        encoding: Of the text files, of standard input, and of HTML that declares none. JSON lines are UTF-8 by definition.

    A text is taken as it stands, line breaks included, for offsets count the user's own characters; only a byte order
    mark at its beginning is dropped. Of a page, offsets count the text that was extracted from it. A document is named by
    its path, or by its ``id``, or by path and line.

    Raises:
        LookupError: Python knows no such encoding.
    """
    for name in inputs:
        try:
            if name == "-":
                yield _read_standard_input(encoding)
            else:
                yield from _read_file(name, encoding)
        except OSError as error:
            yield Failure(name, type(error).__name__, _explain(name, error))


def _read_standard_input(encoding: str) -> Document | Failure:
    if sys.stdin is None:  # `<&-`, or a process without a console
        return Failure("-", "ValueError", "-: standard input is closed; name a file, or send one: < page.txt")
    return _decode("-", sys.stdin.buffer.read(), encoding)


def _read_file(name: str, encoding: str) -> Iterator[Document | Failure]:
    path = Path(name)
    read = _READERS.get(path.suffix.lower())
    if path.is_dir():
        yield Failure(
            name, "IsADirectoryError", f"{name}: is a folder; name the files in it, such as {path.as_posix()}/*.txt"
        )
    elif read is None and path.exists():
        suffix = path.suffix or "no suffix"
        yield Failure(
            name, "ValueError", f"{name}: has {suffix}; accepted are {', '.join(SUFFIXES)}, and - for standard input"
        )
    else:
        with path.open("rb") as file:
            yield from (read or _read_text)(name, file, encoding)


def _explain(name: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{name}: there is no such file; check the name and the folder"
    if isinstance(error, PermissionError):
        return f"{name}: may not be read; check its permissions"
    return f"{name}: cannot be read ({error.strerror or error})"


def _read_text(name: str, file: BinaryIO, encoding: str) -> Iterator[Document | Failure]:
    yield _decode(name, file.read(), encoding)


def _read_page(name: str, file: BinaryIO, encoding: str) -> Iterator[Document | Failure]:
    try:
        yield Document(name, page_text(file.read(), Path(name).suffix.lower(), encoding))
    except PageError as error:
        yield Failure(name, type(error).__name__, f"{name}: {error}")


def _read_json_lines(name: str, file: BinaryIO, _: str) -> Iterator[Document | Failure]:
    for number, line in enumerate(file, start=1):
        place = f"{name}:{number}"
        decoded = _decode(
            place, line, "utf-8", "JSON lines are UTF-8, whatever --encoding says: save the file as UTF-8"
        )
        if isinstance(decoded, Failure):
            yield decoded
        elif decoded.text.strip():
            yield _parse(place, decoded.text)


def _parse(place: str, line: str) -> Document | Failure:
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
    id, text = item.get("id", place), item.get("text")
    if isinstance(id, bool) or not isinstance(id, (str, int, float)):
        return Failure(place, "TypeError", f"{place}: its id is a JSON {_kind(id)}; an id is a string or a number")
    if "text" not in item:
        keys = ", ".join(map(repr, list(item)[:5])) or "none"
        return Failure(
            str(id), "KeyError", f'{place}: has no "text" (its keys: {keys}); a line is {{"id": "…", "text": "…"}}'
        )
    if not isinstance(text, str):
        return Failure(str(id), "TypeError", f"{place}: its text is a JSON {_kind(text)}; a text is a string")
    return Document(str(id), text)


def _kind(value: object) -> str:
    return {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}.get(
        type(value), "number"
    )


def _decode(name: str, data: bytes, encoding: str, advice: str = "") -> Document | Failure:
    utf8 = codecs.lookup(encoding).name == "utf-8"
    skipped = len(codecs.BOM_UTF8) if utf8 and data.startswith(codecs.BOM_UTF8) else 0
    try:
        return Document(name, data[skipped:].decode(encoding))
    except UnicodeDecodeError as error:
        position = error.start + skipped
        if not advice and utf8:
            advice = "save the file as UTF-8, or name its encoding, such as --encoding gb18030"
        elif not advice:
            advice = "name the encoding that it is in, such as --encoding utf-8"
        message = f"{name}: byte {position} (0x{data[position]:02x}) is not valid {encoding}; {advice}"
        return Failure(name, "UnicodeDecodeError", message)


_READERS: dict[str, Callable[[str, BinaryIO, str], Iterator[Document | Failure]]] = {
    ".txt": _read_text,
    ".jsonl": _read_json_lines,
    **dict.fromkeys(PAGES, _read_page),
}

SUFFIXES: tuple[str, ...] = tuple(_READERS)
