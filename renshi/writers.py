"""Records to JSON lines, CSV, a workbook, a page to look at or lines to read; each writer takes them one by one and keeps
none."""

from __future__ import annotations

import csv
import json
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from html import escape
from tempfile import TemporaryFile
from typing import IO, Any, ClassVar

from renshi.labels import EVENT_TYPES, LABEL_NAMES, event_type
from renshi.records import Entity, Failure, Record, Role

__all__ = [
    "FORMATS",
    "MARK_STYLE",
    "PAGE_FOOT",
    "PAGE_HEAD",
    "CsvWriter",
    "HtmlWriter",
    "JsonlWriter",
    "TextWriter",
    "Writer",
    "XlsxWriter",
    "by_organization",
    "escaped",
    "mark_entity",
    "marked_text",
    "readable",
]


class Writer(ABC):
    """Writes to an open stream, which stays the caller's: one of bytes if the writer's `encoding` is None, else a text
    stream with ``newline=""`` and that encoding."""

    encoding: ClassVar[str | None] = "utf-8"
    """What a file of this format is written in; None: it is no text."""
    package: ClassVar[str] = ""
    """A package that it needs beyond the default installation (extra ``renshi[app]``)."""

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream
        self.begin()

    def begin(self) -> None:  # noqa: B027 (most formats have nothing there)
        """What stands before the first record."""

    @abstractmethod
    def write(self, record: Record | Failure) -> None:
        """One record, or what became of a document that failed."""

    def end(self) -> None:  # noqa: B027
        """What stands behind the last record."""


class JsonlWriter(Writer):
    """One JSON object a line, as the output contract has it."""

    def write(self, record: Record | Failure) -> None:
        line = json.dumps(record.to_dict(), ensure_ascii=False)
        # A lone surrogate is no Unicode text; as an escape it comes back from JSON as it went in.
        self._stream.write(line.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


class CsvWriter(Writer):
    """One row a role. Begins with a byte order mark, by which spreadsheet programs know UTF-8; no cell is a formula."""

    encoding = "utf-8-sig"
    COLUMNS = (
        "document", "person", "title", "organization", "score", "event_types", "person_start", "person_end",
        "title_start", "title_end", "organization_start", "organization_end",
    )  # fmt: skip

    def begin(self) -> None:
        self._rows = csv.writer(self._stream, lineterminator="\r\n")  # RFC 4180
        self._rows.writerow(self.COLUMNS)

    def write(self, record: Record | Failure) -> None:
        if isinstance(record, Failure):
            return  # told on standard error and by the exit status: a table of roles has no place for it
        events = "、".join(EVENT_TYPES[event.type].chinese for event in record.event_types)
        for role in record.roles:
            person, title = record.entities[role.person], record.entities[role.title]
            organization = None if role.organization is None else record.entities[role.organization]
            parts = [person, title, organization]
            texts = [_cell(part.text) if part else "" for part in parts]
            offsets = [offset for part in parts for offset in ((part.start, part.end) if part else ("", ""))]
            self._rows.writerow([_cell(record.id), *texts, role.score, events, *offsets])


# OWASP, CSV injection; full-width signs included, which East Asian versions take for the ASCII ones.
_FORMULA = re.compile(r"[\t\r]|\s*[-=+@＝＋－＠]")


def _cell(text: str) -> str:
    """A cell's text: one that a spreadsheet program would read as a formula gets an apostrophe before it."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return f"'{text}" if _FORMULA.match(text) else text


class XlsxWriter(Writer):
    """A workbook with the sheets of `SHEETS`. Every text is a text, whatever sign it begins with: no formula, no link. What
    is more than a sheet holds goes on in a further one (``entities-2``)."""

    encoding = None
    package = "openpyxl"
    SHEETS: ClassVar[dict[str, tuple[str, ...]]] = {
        "roles": CsvWriter.COLUMNS,
        "entities": ("document", "label", "text", "start", "end", "score"),
        "rosters": ("document", "title", "claimed", "named"),
        "documents": ("document", "event_types", "roles", "entities", "error"),
    }
    _WIDTHS: ClassVar[dict[str, int]] = {"document": 24, "organization": 40, "title": 24, "text": 40, "event_types": 24, "error": 60}  # fmt: skip

    def begin(self) -> None:
        from openpyxl import Workbook

        self._book = Workbook(write_only=True)
        self._sheets: dict[str, Any] = {}
        self._rows = dict.fromkeys(self.SHEETS, 0)  # of a name in all its sheets, headers too
        for name in self.SHEETS:
            self._begin_sheet(name)

    def write(self, record: Record | Failure) -> None:
        if isinstance(record, Failure):
            self._append("documents", record.id, "", "", "", record.message)
            return
        entities = record.entities
        events = "、".join(EVENT_TYPES[event.type].chinese for event in record.event_types)
        self._append("documents", record.id, events, len(record.roles), len(entities), "")
        for e in entities:
            self._append("entities", record.id, e.label, e.text, e.start, e.end, e.score)
        for roster in record.rosters:
            self._append("rosters", record.id, entities[roster.title].text, roster.claimed, roster.found)
        for role in record.roles:
            parts = [None if i is None else entities[i] for i in (role.person, role.title, role.organization)]
            texts = [part.text if part else "" for part in parts]
            offsets = [offset for part in parts for offset in ((part.start, part.end) if part else ("", ""))]
            self._append("roles", record.id, *texts, role.score, events, *offsets)

    def end(self) -> None:
        # Whole first: openpyxl, broken off by a full disk or a reader that went away, complains for each of its sheets.
        with TemporaryFile() as whole:
            self._book.save(whole)
            whole.seek(0)
            shutil.copyfileobj(whole, self._stream)

    def _begin_sheet(self, name: str) -> None:
        from openpyxl.styles import Font
        from openpyxl.utils import get_column_letter

        number = self._rows[name] // _SHEET_ROWS + 1
        sheet = self._sheets[name] = self._book.create_sheet(name if number == 1 else f"{name}-{number}")
        sheet.freeze_panes = "A2"
        for place, column in enumerate(self.SHEETS[name], start=1):
            sheet.column_dimensions[get_column_letter(place)].width = self._WIDTHS.get(column, 12)
        self._write_row(name, self.SHEETS[name], Font(bold=True))

    def _append(self, name: str, *values: str | float) -> None:
        if self._rows[name] % _SHEET_ROWS == 0:
            self._begin_sheet(name)
        self._write_row(name, values)

    def _write_row(self, name: str, values: Sequence[str | float], font: Any = None) -> None:
        from openpyxl.cell import WriteOnlyCell

        cells = []
        for value in values:
            cell = WriteOnlyCell(self._sheets[name])
            if isinstance(value, str):
                # The type is set last: openpyxl takes a text that begins with = for a formula.
                cell.value, cell.data_type = _NO_XML.sub("\ufffd", value)[:_CELL_LENGTH], "s"
                cell.quotePrefix = bool(_FORMULA.match(value))  # and it stays one when its cell is edited
            else:
                cell.value = value
            if font:
                cell.font = font
            cells.append(cell)
        self._sheets[name].append(cells)
        self._rows[name] += 1


_SHEET_ROWS = 1_048_576  # the most that Excel takes, the header among them
_CELL_LENGTH = 32_767  # the most that Excel takes
_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


# A page must not move the cursor, recolour the terminal or turn the reading direction; a name broken by a line end is one.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def readable(line: str) -> str:
    """A line for a terminal, whatever a page's text does."""
    return _CONTROL.sub("", line).encode("utf-8", "replace").decode("utf-8")


class TextWriter(Writer):
    """For reading on a terminal: what took place, and who holds which post, organization by organization."""

    def write(self, record: Record | Failure) -> None:
        lines = [f"── {record.id}"]
        if isinstance(record, Failure):
            lines.append(f"failed: {record.message}")
        else:
            lines += [
                f"{EVENT_TYPES[e.type].chinese} {EVENT_TYPES[e.type].english} {e.score:.2f}" for e in record.event_types
            ]
            for organization, roles in by_organization(record):
                lines.append(organization or "—")
                for role in roles:
                    person, title = record.entities[role.person].text, record.entities[role.title].text
                    lines.append(f"    {title}  {person}")
            lines += [f"{record.entities[r.title].text}: {r.claimed} claimed, {r.found} named" for r in record.rosters]
            lines += ["nothing found"] if len(lines) == 1 else []
        self._stream.write("\n".join(map(readable, lines)) + "\n\n")


class HtmlWriter(Writer):
    """One page for all documents: the text with its spans, the roles, the rosters, the event types. No script, nothing
    from elsewhere, everything escaped."""

    def begin(self) -> None:
        self._stream.write(PAGE_HEAD)

    def write(self, record: Record | Failure) -> None:
        if isinstance(record, Failure):
            kind, message = escaped(record.type), escaped(record.message)
            self._stream.write(
                f'<article class="failed"><h2>{escaped(record.id)}</h2><p><b>Not read.</b> {message} ({kind})</p></article>\n'
            )
            return
        self._stream.write(
            f"<article><h2>{escaped(record.id)}</h2>\n{_events(record)}{_roles(record)}{_rosters(record)}{marked_text(record.text, record.entities)}</article>\n"
        )

    def end(self) -> None:
        self._stream.write(PAGE_FOOT)


_NO_HTML = re.compile("[\0\ud800-\udfff]")


def escaped(text: str) -> str:
    """Escaped; what HTML cannot hold (NUL, lone surrogates) as U+FFFD, a carriage return as a reference, since a parser
    would read a line feed."""
    return escape(_NO_HTML.sub("\ufffd", text), quote=True).replace("\r", "&#13;")


def _events(record: Record) -> str:
    chips = [
        f'<li title="{event.score:.2f}"><b lang="zh">{EVENT_TYPES[event.type].chinese}</b> {EVENT_TYPES[event.type].english}</li>'
        for event in record.event_types
    ]
    return f'<ul class="events" aria-label="Event types">{"".join(chips)}</ul>\n' if chips else ""


_OPEN_ROLES = 16
"""A longer table is folded up at first, so that the text stands on the same screen."""


def _roles(record: Record) -> str:
    if not record.roles:
        return '<p class="none">No role was found.</p>\n'
    rows = []
    for organization, held in by_organization(record):
        for number, role in enumerate(held):
            first = f'<td lang="zh" rowspan="{len(held)}">{escaped(organization or "—")}</td>' if number == 0 else ""
            texts = (record.entities[index].text for index in (role.title, role.person))
            rest = "".join(f'<td lang="zh">{escaped(text)}</td>' for text in texts)
            rows.append(f"<tr>{first}{rest}<td>{role.score:.2f}</td></tr>")
    head = "<tr><th>机构 Organization</th><th>职务 Title</th><th>人物 Person</th><th>Score</th></tr>"
    shown = " open" if len(rows) <= _OPEN_ROLES else ""
    return (
        f"<details{shown}><summary>{len(rows)} {'role' if len(rows) == 1 else 'roles'}</summary>"
        f'<div class="wide"><table><thead>{head}</thead>\n<tbody>{"".join(rows)}</tbody></table></div></details>\n'
    )


def _rosters(record: Record) -> str:
    items = [
        f'<li><span lang="zh">{escaped(record.entities[roster.title].text)}</span>: {roster.claimed} claimed, {roster.found} named'
        f"{'' if roster.claimed == roster.found else ' ≠'}</li>"
        for roster in record.rosters
    ]
    return f'<ul class="rosters" aria-label="Rosters">{"".join(items)}</ul>\n' if items else ""


def mark_entity(entity: Entity, title: str = "", extra_class: str = "", name: str = "") -> str:
    """One span as an HTML element. `title` is what is told on hover: by default label, score and place. `name` is shown
    behind it: by default the label's Chinese name."""
    kind = "event" if event_type(entity.label) else entity.label.lower()
    title = title or f"{entity.label} {entity.score:.2f} [{entity.start}, {entity.end})"
    classes = f"{kind} {extra_class}" if extra_class else kind
    name = name or LABEL_NAMES[entity.label]
    return f'<mark class="{classes}" data-label="{name}" title="{title}">{escaped(entity.text)}</mark>'


def marked_text(text: str, entities: Sequence[Entity], mark: Callable[[Entity], str] = mark_entity) -> str:
    """The text as an HTML block, its spans as `mark` makes them; `entities` sorted, never overlapping."""
    parts, last = [], 0
    for entity in entities:
        parts += [escaped(text[last : entity.start]), mark(entity)]
        last = entity.end
    parts.append(escaped(text[last:]))
    return f'<div class="text" lang="zh">{"".join(parts)}</div>\n'


# The hues of Okabe and Ito (2008), told apart by colour-blind readers; each span bears its label's name besides. On its
# own tint each has a contrast of 4.9 or more (WCAG 2 asks 4.5 of small text), which the tests compute.
MARK_STYLE = """mark { color: inherit; background: none; padding: .1rem .12rem; margin: 0 1px; border-radius: .2rem; border-bottom: 2px solid;
  -webkit-box-decoration-break: clone; box-decoration-break: clone; }
mark::after { content: attr(data-label); font-size: .68rem; margin-left: .2rem; vertical-align: super; line-height: 1; white-space: nowrap; }
.per { border-color: var(--per); background: color-mix(in srgb, var(--per) 13%, transparent); }
.title { border-color: var(--title); background: color-mix(in srgb, var(--title) 13%, transparent); }
.org { border-color: var(--org); background: color-mix(in srgb, var(--org) 13%, transparent); }
.event { border-color: var(--event); background: color-mix(in srgb, var(--event) 13%, transparent); }
.per::after { color: var(--per); } .title::after { color: var(--title); } .org::after { color: var(--org); }
.event::after { color: var(--event); }
"""
"""How spans look; the page gives the colours ``--per``, ``--title``, ``--org`` and ``--event``."""

PAGE_HEAD = (
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>renshi</title>
<style>
:root { color-scheme: light dark; --ground: #fbfaf7; --paper: #fff; --ink: #222; --soft: #6a665f; --line: #e3dfd6;
  --per: #00639b; --title: #9a4a06; --org: #006b4f; --event: #98396b; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181b; --paper: #1e2125; --ink: #e6e3dc; --soft: #a09b91; --line: #353a40;
  --per: #6cb8ea; --title: #f0a04b; --org: #4fc9a2; --event: #e08ab8; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC",
  "Microsoft YaHei", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .4rem 1.2rem; padding-bottom: .8rem; }
h1 { font-size: 1.35rem; margin: 0; }
h2 { font-size: 1rem; margin: 0 0 .8rem; overflow-wrap: anywhere; color: var(--soft); font-weight: 600; }
article { background: var(--paper); border: 1px solid var(--line); border-radius: .6rem; padding: 1.2rem 1.4rem; margin: 0 0 1.4rem; }
article.failed { border-left: .35rem solid #d55e00; }
.failed p { margin: 0; overflow-wrap: anywhere; }
ul { list-style: none; margin: 0 0 1rem; padding: 0; display: flex; flex-wrap: wrap; gap: .4rem .6rem; }
.events li { border: 1px solid var(--event); border-radius: 1rem; padding: .05rem .8rem; font-size: .85rem; color: var(--soft); }
.events b { color: var(--event); }
.rosters li { font-size: .85rem; color: var(--soft); border-bottom: 1px dotted var(--title); }
.none { color: var(--soft); font-size: .9rem; }
details { margin-bottom: 1.2rem; }
summary { cursor: pointer; font-size: .85rem; color: var(--soft); padding-bottom: .3rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .8rem; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { min-width: 4.5em; }
td[rowspan] { font-weight: 600; }
th:last-child, td:last-child { min-width: 0; padding-right: 0; }
td:last-child { font-variant-numeric: tabular-nums; color: var(--soft); }
.text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2.1; }
h2, b, td, mark { unicode-bidi: isolate; }
"""
    + MARK_STYLE
    + """</style>
</head>
<body>
<main>
<header><h1>renshi 人事</h1><span><mark class="per" data-label="人物">person</mark> <mark class="title" data-label="职务">title</mark>
<mark class="org" data-label="机构">organization</mark> <mark class="event" data-label="…">event</mark></span></header>
"""
)

PAGE_FOOT = "</main></body></html>\n"


def by_organization(record: Record) -> list[tuple[str | None, list[Role]]]:
    """The roles grouped by the organization's name, in the order in which the names come up; those without one last."""
    groups: dict[str | None, list[Role]] = {}
    for role in record.roles:
        groups.setdefault(None if role.organization is None else record.entities[role.organization].text, []).append(
            role
        )
    return sorted(groups.items(), key=lambda group: group[0] is None)


FORMATS: dict[str, type[Writer]] = {
    "jsonl": JsonlWriter,
    "csv": CsvWriter,
    "html": HtmlWriter,
    "text": TextWriter,
    "xlsx": XlsxWriter,
}
"""Output formats by the name, and the suffix, that chooses them."""
