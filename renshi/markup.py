"""Annotated text: the inline markup of the annotation guidelines, read and written.

    {省学会|ORG}{会长|TITLE}{王进龙|PER}出席{成立大会|EVENT.FOUNDING}。
    ROLE 王进龙 || 会长 || 省学会

A literal brace or bar is escaped by a backslash, and so is each backslash that stands before one or before a mark; others
are what they are. Role lines follow the text; ``-`` stands for no organization.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from renshi.labels import LABELS
from renshi.records import Entity

__all__ = [
    "AnnotatedDocument",
    "MarkupError",
    "RoleStrings",
    "format_markup",
    "on_one_line",
    "parse_markup",
    "read_markup",
]

RoleStrings = tuple[str, str, str | None]
"""(person, title, organization or None), as surface strings."""


class MarkupError(ValueError):
    """Markup that cannot be read; the message names the line (and the file, where there is one)."""


@dataclass(frozen=True, slots=True)
class AnnotatedDocument:
    """A text with its gold entities (sorted, never overlapping, offsets into `text`) and roles."""

    id: str
    text: str
    entities: Sequence[Entity]
    roles: Sequence[RoleStrings]


_ROLE_LINES = re.compile(r"(?:\n|\A)ROLE [^\n]*(?:\nROLE [^\n]*)*\n*\Z")
# The run of backslashes before a sign is seen whole: from each of them anew, a run of n would take n² steps.
_TOKEN = re.compile(r"(?<!\\)(?P<backslashes>\\*)(?P<sign>[{|}])")


def parse_markup(marked: str, id: str = "") -> AnnotatedDocument:
    """Read one annotated document. Raises `MarkupError`."""
    roles_at = match.start() if (match := _ROLE_LINES.search(marked)) else len(marked)
    body = marked[:roles_at] if match else marked.removesuffix("\n")
    roles = [_parse_role(line, id) for line in marked[roles_at:].split("\n") if line]

    parts: list[str] = []
    entities: list[Entity] = []
    length = last = 0
    start = label_at = -1  # where the open span begins in the text; where its label begins in the markup

    def fail(position: int, problem: str) -> MarkupError:
        line = marked.count("\n", 0, position) + 1
        return MarkupError(
            f"{id or 'markup'}, line {line}: {problem} near {marked[max(0, position - 10) : position + 10]!r}"
        )

    for token in _TOKEN.finditer(body):
        backslashes, sign = token["backslashes"], token["sign"]
        escaped = len(backslashes) % 2 == 1
        if label_at < 0:
            plain = body[last : token.start()] + backslashes[: len(backslashes) // 2] + (sign if escaped else "")
            parts.append(plain)
            length += len(plain)
            last = token.end()
        if escaped:
            continue
        if sign == "{":
            if start >= 0:
                raise fail(
                    token.start(), "a span inside a span; close the first with |LABEL}, or write \\{ for a brace"
                )
            start = length
        elif sign == "|":
            if start < 0 or label_at >= 0:
                raise fail(token.start(), "a bar that ends no mention; write \\| for a bar")
            label_at = token.end()
        else:
            if label_at < 0:
                raise fail(token.start(), "a closing brace without |LABEL; write \\} for a brace")
            label = body[label_at : token.end() - 1]
            if label not in LABELS:
                raise fail(label_at, f"unknown label {label!r}; labels are {', '.join(LABELS)}")
            if start == length:
                raise fail(token.start(), "an empty span")
            entities.append(Entity(start, length, "".join(parts)[start:length], label))
            last, start, label_at = token.end(), -1, -1
    if start >= 0:
        raise fail(len(body), "a span that is never closed")
    parts.append(body[last:])
    text = "".join(parts)
    return AnnotatedDocument(id, text, entities, roles)


def _parse_role(line: str, id: str) -> RoleStrings:
    fields = [field.strip() for field in line.removeprefix("ROLE ").split("||")]
    if len(fields) != 3 or not all(fields):
        raise MarkupError(f"{id or 'markup'}: {line!r} is not ROLE person || title || organization (- for none)")
    person, title, organization = map(_unescape, fields)
    return person, title, None if organization == "-" else organization


def on_one_line(text: str) -> str:
    """What stands in a document as ROLE lines have it: a name that a scraper broke over two lines is whole there."""
    return text.replace("\n", "").replace("\r", "")


def _escape(text: str, before_sign: bool = False) -> str:
    """Markup of a text: a sign has a backslash before it, and backslashes that stand before a sign are doubled."""
    text = _TOKEN.sub(lambda token: 2 * token["backslashes"] + "\\" + token["sign"], text)
    return text + "\\" * (len(text) - len(text.rstrip("\\"))) if before_sign else text


def _unescape(text: str) -> str:
    return _TOKEN.sub(lambda token: token["backslashes"][: len(token["backslashes"]) // 2] + token["sign"], text)


def format_markup(document: AnnotatedDocument) -> str:
    """Write an annotated document; `parse_markup` gives the same one back."""
    parts, last = [], 0
    for entity in document.entities:
        parts.append(_escape(document.text[last : entity.start], before_sign=True))
        parts.append(f"{{{_escape(document.text[entity.start : entity.end], before_sign=True)}|{entity.label}}}")
        last = entity.end
    parts.append(_escape(document.text[last:]))
    lines = ["".join(parts)]
    lines += [f"ROLE {' || '.join(_escape(part or '-') for part in role)}" for role in document.roles]
    return "\n".join(lines) + "\n"


def read_markup(path: Path) -> AnnotatedDocument:
    """Read an annotated file; its stem becomes the document's id. Raises `MarkupError` and `OSError`."""
    try:
        return parse_markup(path.read_bytes().decode("utf-8"), path.stem)
    except UnicodeDecodeError as error:
        raise MarkupError(f"{path}: byte {error.start} is not valid UTF-8; annotated files are UTF-8") from error
    except MarkupError as error:
        raise MarkupError(str(error).replace(path.stem, str(path), 1)) from error
