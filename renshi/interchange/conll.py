r"""`conll`: one character and its BIO tag a line, in columns with tabs between; entities only.

    -DOCSTART-⇥page⇥_⇥O

    王⇥_⇥B-PER
    进⇥_⇥I-PER
    龙⇥\s⇥I-PER

The first column is the character, the last its tag, as readers of CoNLL-2003 expect. White space is no token there; it
stands in the column between as what follows the character, ``_`` for nothing, in the escapes of CoNLL-U's ``SpacesAfter``
(``\s`` space, ``\t``, ``\r``, ``\n``; others ``\u3000``), and on the line of the document as what it begins with. So the
text comes back whole. A blank line stands after each line of the text, unless a mention goes on there.

Other files of the kind are read too: any columns with the token first and the tag last (BIO, or BIOES and BMES), tokens of
any length, put together as they stand; without ``-DOCSTART-`` each block of lines is a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from renshi.interchange.base import Report, Span, assemble, holds, keep_entities
from renshi.interchange.lines import read_text
from renshi.records import Failure, Record
from renshi.writers import Writer

__all__ = ["ConllWriter", "fit", "read"]

_START = "-DOCSTART-"
_ESCAPES = {" ": r"\s", "\t": r"\t", "\r": r"\r", "\n": r"\n"}
_UNESCAPES = {escape[1]: character for character, escape in _ESCAPES.items()}
_SPACES = re.compile(r"_|(?:\\[strn]|\\u[0-9a-f]{4})+")
_PREFIXES = {"B": "B", "S": "B", "I": "I", "M": "I", "E": "I"}


def _escape(spaces: str) -> str:
    return "".join(_ESCAPES.get(character, f"\\u{ord(character):04x}") for character in spaces) or "_"


def _unescape(escaped: str) -> str:
    def character(match: re.Match[str]) -> str:
        return chr(int(match[1][1:], 16)) if match[1][0] == "u" else _UNESCAPES[match[1]]

    return "" if escaped == "_" else re.sub(r"\\(u[0-9a-f]{4}|[strn])", character, escaped)


def _fit(record: Record, report: Report) -> Record:
    """Entities without white space at their ends, which is no token; what is nothing else is lost."""
    record = keep_entities(
        record,
        [index for index, entity in enumerate(record.entities) if entity.text.strip()],
        report,
        "entities of nothing but white space",
    )
    entities = []
    for entity in record.entities:
        text = entity.text.strip()
        start = entity.start + len(entity.text) - len(entity.text.lstrip())
        entities.append(replace(entity, start=start, end=start + len(text), text=text))
    trimmed = sum(old != new for old, new in zip(record.entities, entities, strict=True))
    report.add_lost("white space at the ends of entities", record.id, trimmed)
    return replace(record, entities=entities)


fit = holds(then=_fit)


class ConllWriter(Writer):
    """A block of lines for each line of the text."""

    def write(self, record: Record | Failure) -> None:
        if isinstance(record, Failure):
            return
        tags = ["O"] * len(record.text)
        for entity in record.entities:
            tags[entity.start : entity.end] = [f"I-{entity.label}"] * (entity.end - entity.start)
            tags[entity.start] = f"B-{entity.label}"
        tokens = list(re.finditer(r"\S", record.text))
        starts = [token.start() for token in tokens] + [len(record.text)]
        lines = [f"{_START}\t{_name(record.id)}\t{_escape(record.text[: starts[0]])}\tO\n\n"]
        for token, following in zip(tokens, starts[1:], strict=True):
            at = token.start()
            spaces = record.text[at + 1 : following]
            lines.append(f"{token[0]}\t{_escape(spaces)}\t{tags[at]}\n")
            if "\n" in spaces and following < len(record.text) and not tags[following].startswith("I-"):
                lines.append("\n")
        lines.append("\n")
        self._stream.write("".join(lines))


def _name(id: str) -> str:
    r"""An id as one column without white space; a backslash in it is doubled, and an empty one is ``\``."""
    return re.sub(r"\s", lambda match: _escape(match[0]), id.replace("\\", r"\\")) or "\\"


def _id(name: str) -> str:
    if name == "\\":
        return ""
    return re.sub(r"\\\\|\\(?:u[0-9a-f]{4}|[strn])", lambda m: "\\" if m[0] == r"\\" else _unescape(m[0]), name)


@dataclass(slots=True)
class _Document:
    """A document as its lines come."""

    id: str
    place: str
    parts: list[str] = field(default_factory=list)
    length: int = 0
    spans: list[Span] = field(default_factory=list)
    problem: str = ""

    def add(self, token: str, spaces: str, tag: str, report: Report, place: str) -> None:
        prefix, _, label = tag.partition("-")
        kind = _PREFIXES.get(prefix, "O")
        end = self.length + len(token)
        last = self.spans[-1] if self.spans else None
        if kind == "I" and last and last.key == "open" and last.label == label:
            self.spans[-1] = replace(last, end=end)
        elif kind != "O":
            if kind == "I" and prefix == "I":
                report.add_wrong("tags that may not follow the one before; each begins an entity", place)
            self._close()
            self.spans.append(Span("open", self.length, end, label))
        if kind == "O" or prefix in ("E", "S"):
            self._close()
        self.parts += [token, spaces]
        self.length = end + len(spaces)

    def _close(self) -> None:
        if self.spans and self.spans[-1].key == "open":
            self.spans[-1] = replace(self.spans[-1], key=len(self.spans))

    def record(self, report: Report) -> Record | Failure:
        self._close()
        if self.problem:
            return Failure(self.id, "ValueError", self.problem)
        return assemble(self.place, self.id, "".join(self.parts), self.spans, [], report)


def read(path: Path, report: Report) -> Iterator[Record | Failure]:
    """The documents of a file, in order."""
    text = read_text(path)
    announced = text.startswith(_START)
    document: _Document | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        place = f"{path}:{number}"
        columns = _columns(line)
        if not columns:
            if document and not announced:
                yield document.record(report)
                document = None
        elif columns[0] == _START:
            if document:
                yield document.record(report)
            own = len(columns) == 4 and _SPACES.fullmatch(columns[2])
            document = _Document(_id(columns[1]) if own else place, place)
            if own:
                document.parts = [_unescape(columns[2])]
                document.length = len(document.parts[0])
        elif len(columns) < 2 or not re.fullmatch("O|[BIESM]-.+", columns[-1]):
            document = document or _Document(place, place)
            problem = (
                f"{place}: {line.strip()[:40]!r} is no token with its tag; a line is 王⇥_⇥B-PER (tags O, B-…, I-…)"
            )
            document.problem = document.problem or problem
        else:
            document = document or _Document(place, place)
            spaces = columns[1] if len(columns) == 3 and _SPACES.fullmatch(columns[1]) else "_"
            document.add(columns[0], _unescape(spaces), columns[-1], report, place)
    if document:
        yield document.record(report)


def _columns(line: str) -> Sequence[str]:
    return line.removesuffix("\r").split("\t") if "\t" in line else line.split()
