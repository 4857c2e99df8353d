"""`markup`: the inline markup of the guidelines (`renshi.markup`), a folder of ``.txt`` files or one file.

Markup states roles by surface strings, once each, and not which mention is meant. Reading, each role goes to the mentions
that stand nearest together, since tools draw relations between mentions; writing, it is strings again. So markup read
and written is the same to the byte, while a record's roles may come back on other mentions of the same names.
"""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from renshi.interchange.base import Report, holds, keep_entities
from renshi.interchange.folder import NamedFiles, document_id, files_below
from renshi.markup import AnnotatedDocument, MarkupError, RoleStrings, format_markup, parse_markup, read_markup
from renshi.records import Entity, Failure, Record, Role

__all__ = ["MarkupWriter", "fit", "read"]


def read(path: Path, report: Report) -> Iterator[Record | Failure]:
    """The documents of all ``.txt`` files in the folder and below it, or of the one file."""
    for file in files_below(path, ".txt"):
        id = document_id(file, path)
        try:
            document = read_markup(file)
        except MarkupError as error:
            yield Failure(id, "MarkupError", str(error))
            continue
        roles = []
        for strings in document.roles:
            role = _anchor(strings, document.entities)
            if role:
                roles.append(role)
            else:
                names = " || ".join(part or "-" for part in strings)
                report.add_wrong("roles whose words are no spans of the document", f"{file}: ROLE {names}")
        yield Record(id, document.text, list(document.entities), roles)


def _anchor(strings: RoleStrings, entities: Sequence[Entity]) -> Role | None:
    """The mentions of a role: for each mention of the title the nearest of the others; of these the closest three."""
    mentions: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for index, entity in enumerate(entities):
        mentions[entity.label, entity.text].append(index)
    starts = [entity.start for entity in entities]

    def nearest(label: str, text: str, title: int) -> int:
        found = mentions[label, text]
        at = bisect(found, title)
        return min(found[max(0, at - 1) : at + 1], key=lambda index: abs(starts[index] - starts[title]))

    person, title, organization = strings
    if not mentions["PER", person] or (organization is not None and not mentions["ORG", organization]):
        return None
    roles = [
        Role(nearest("PER", person, at), at, None if organization is None else nearest("ORG", organization, at))
        for at in mentions["TITLE", title]
    ]

    def stretch(role: Role) -> int:
        places = [starts[index] for index in (role.person, role.title, role.organization) if index is not None]
        return max(places) - min(places)

    return min(roles, key=stretch, default=None)


def _strings(record: Record, role: Role) -> RoleStrings:
    organization = None if role.organization is None else record.entities[role.organization].text
    return record.entities[role.person].text, record.entities[role.title].text, organization


def _document(record: Record) -> AnnotatedDocument:
    return AnnotatedDocument(record.id, record.text, record.entities, [_strings(record, role) for role in record.roles])


def _fit(record: Record, report: Report) -> Record | Failure:
    text = record.text
    told = [
        index
        for index, entity in enumerate(record.entities)
        if not ((entity.start and text[entity.start - 1] == "\\") or entity.text.endswith("\\"))
    ]
    record = keep_entities(
        record, told, report, "entities before whose brace or bar a backslash stands, which escapes it"
    )
    stated: dict[RoleStrings, Role] = {}
    for role in record.roles:
        stated.setdefault(_strings(record, role), role)
    report.add_lost("roles stated again on other mentions", record.id, len(record.roles) - len(stated))
    roles = [role for strings, role in stated.items() if _survives(strings)]
    report.add_lost("roles with a line break, a bar or spaces in a name", record.id, len(stated) - len(roles))
    record = replace(record, roles=roles)
    document = _document(record)
    try:
        same = parse_markup(format_markup(document), record.id) == replace(document, entities=list(document.entities))
    except MarkupError:
        same = False
    if not same:
        return Failure(
            record.id,
            "ValueError",
            f"{record.id}: its text ends with a line that begins with ROLE, as markup's roles do",
        )
    return record


def _survives(strings: RoleStrings) -> bool:
    try:
        return parse_markup(format_markup(AnnotatedDocument("", "", [], [strings]))).roles == [strings]
    except MarkupError:
        return False


fit = holds("roles", then=_fit)


class MarkupWriter:
    """One ``.txt`` a document, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._files = NamedFiles(folder, ".txt")

    def write(self, record: Record | Failure) -> Failure | None:
        if isinstance(record, Failure):
            return None
        path = self._files.path(record.id)
        if isinstance(path, Failure):
            return path
        path.write_bytes(format_markup(_document(record)).encode("utf-8"))
        return None

    def end(self) -> None:
        pass
