"""`brat`: a folder of ``.txt`` and ``.ann`` files in brat's standoff format, with the ``annotation.conf`` that brat needs.

    T1⇥ORG 0 3⇥省学会
    T2⇥TITLE 3 5⇥会长
    R1⇥at Arg1:T2 Arg2:T1

Offsets are code points, half-open, as brat's server (Python) slices the text; a CR LF counts as two. brat's types are made
of letters, digits, ``-`` and ``_``, so ``EVENT.FORUM`` is ``EVENT-FORUM`` there. A mention that goes on over a line end is
written as brat's editor does it, in fragments whose texts a space joins; fragments with nothing but white space between
them are read as one span, other fragments make a discontinuous one, which renshi has not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from renshi.interchange.base import Report, Span, assemble, holds, keep_entities
from renshi.interchange.folder import NamedFiles, document_id, files_below
from renshi.interchange.lines import read_text
from renshi.interchange.relations import RELATIONS, Relation, to_relations
from renshi.labels import LABELS
from renshi.records import Failure, Record

__all__ = ["ANNOTATION_CONF", "BratWriter", "fit", "read"]

_LABELS = {label.replace(".", "-"): label for label in LABELS}

ANNOTATION_CONF = "\n".join([
    "[entities]", *_LABELS, "", "[relations]",
    *(f"{kind}{suffix}\tArg1:TITLE, Arg2:{label}" for suffix in ("", "-2", "-3") for kind, label in RELATIONS.items()),
    "<OVERLAP>\tArg1:<ENTITY>, Arg2:<ENTITY>, <OVL-TYPE>:<ANY>",  # nested spans allowed
    "", "[events]", "", "[attributes]", "",
])  # fmt: skip
"""brat's configuration of the folder: the labels and the relations between them."""

_SPAN = re.compile(r"(T\S+)\t(\S+) ([0-9]+ [0-9]+(?:;[0-9]+ [0-9]+)*)\t(.*)", re.DOTALL)
_RELATION = re.compile(r"(R\S+)\t(\S+) Arg1:(\S+) Arg2:(\S+)\s*")


def _fit(record: Record, report: Report) -> Record:
    within = [i for i, e in enumerate(record.entities) if "\n" not in (e.text[0], e.text[-1])]
    return keep_entities(record, within, report, "entities that begin or end with a line end, where brat has fragments")


fit = holds("overlaps", "roles", then=_fit)


class BratWriter:
    """A ``.txt`` and an ``.ann`` for each document, and ``annotation.conf``."""

    def __init__(self, folder: Path) -> None:
        self._files = NamedFiles(folder, ".txt", ".ann", others=["annotation.conf"])
        (folder / "annotation.conf").write_text(ANNOTATION_CONF, encoding="utf-8", newline="\n")

    def write(self, record: Record | Failure) -> Failure | None:
        if isinstance(record, Failure):
            return None
        path = self._files.path(record.id)
        if isinstance(path, Failure):
            return path
        lines = [
            f"T{number}\t{e.label.replace('.', '-')} {_fragments(e.text, e.start)}\t{_one_line(e.text)}\n"
            for number, e in enumerate(record.entities, start=1)
        ]
        lines += [
            f"R{number}\t{relation.type} Arg1:T{relation.source + 1} Arg2:T{relation.target + 1}\n"  # type: ignore[operator]
            for number, relation in enumerate(to_relations(record.roles), start=1)
        ]
        path.write_bytes(record.text.encode("utf-8"))
        path.with_suffix(".ann").write_bytes("".join(lines).encode("utf-8"))
        return None

    def end(self) -> None:
        pass


def _fragments(text: str, start: int) -> str:
    return ";".join(f"{start + match.start()} {start + match.end()}" for match in re.finditer(r"[^\n]+", text))


def _one_line(text: str) -> str:
    return " ".join(re.findall(r"[^\n]+", text))


def read(path: Path, report: Report) -> Iterator[Record | Failure]:
    """The documents of all ``.ann`` files in the folder and below it, or of the one file."""
    for file in files_below(path, ".ann"):
        id = document_id(file, path)
        source = file.with_suffix(".txt")
        if not source.is_file():
            yield Failure(id, "FileNotFoundError", f"{file}: has no {source.name} beside it, which holds its text")
            continue
        try:
            yield _read_pair(id, source.read_bytes().decode("utf-8"), file, report)
        except UnicodeDecodeError as error:
            yield Failure(
                id, "UnicodeDecodeError", f"{source}: byte {error.start} is not valid UTF-8; save it as UTF-8"
            )
        except ValueError as error:
            yield Failure(id, "ValueError", str(error))


def _read_pair(id: str, text: str, file: Path, report: Report) -> Record | Failure:
    spans, relations = [], []
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        place = f"{file}:{number}"
        if match := _SPAN.fullmatch(line):
            start, end = _join(match[3], text, place)
            there = _one_line(text[start:end])
            if _letters(match[4]) != _letters(there):
                raise ValueError(f"{place}: {match[1]} says {match[4]!r}, but {there!r} stands at [{start}, {end})")
            spans.append(Span(match[1], start, end, _LABELS.get(match[2], match[2])))
        elif match := _RELATION.fullmatch(line):
            relations.append(Relation(match[2], match[3], match[4]))
        elif line[:1] in ("T", "R"):
            form = "T1⇥PER 0 3⇥text" if line[0] == "T" else "R1⇥holds Arg1:T2 Arg2:T1"
            raise ValueError(f"{place}: {line[:60]!r} is no line of brat's; one is {form} (⇥ a tab)")
        elif line.strip() and not line.startswith("#"):  # notes
            report.add_wrong(f"lines of kind {line[0]} (events, attributes, equivalences)", place)
    return assemble(str(file), id, text, spans, relations, report)


def _join(fragments: str, text: str, place: str) -> tuple[int, int]:
    pairs = [tuple(map(int, fragment.split(" "))) for fragment in fragments.split(";")]
    for (_, end), (start, _) in pairwise(pairs):
        if not end <= start or text[end:start].strip():
            raise ValueError(
                f"{place}: a discontinuous span ({fragments}) with {text[end:start]!r} left out; renshi's spans are whole, "
                "so mark one stretch of text"
            )
    return pairs[0][0], pairs[-1][1]


def _letters(text: str) -> str:
    return "".join(text.split())
