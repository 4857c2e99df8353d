"""Annotations of text that belongs to others: what was annotated stands here, the text stays in its corpus.

    python -m training.standoff read data/annotations/train.jsonl runs/annotations/train --data-root ROOT
    python -m training.standoff write runs/annotations/train data/annotations/train.jsonl --data-root ROOT

The first command makes a folder of inline markup, which training reads (``format = "markup"``), of the annotations and
of the corpora under ROOT; the second one makes the annotations of such a folder. A line of the file is one document or an
excerpt of it:

    {"corpus": "corpora/univ_news.txt.xz", "document": 1234, "paragraphs": [0, 1, 2, 5], "sha256": "…",
     "entities": [[0, 5, "ORG"], …], "roles": [[2, 1, 0], [4, 3, null], …]}

Documents are numbered from 0 in their corpus, and paragraphs in their document, blank ones not counted. The half-open
character offsets are into the paragraphs, joined by line feeds; the first 16 hexadecimal digits of the SHA-256 of that
text's UTF-8 bytes tell whether the corpus is the one that was annotated. A role is a person, a title, and an organization
or none, as the numbers of entities, counted from 0: the first ones of the strings that the role is made of. A line without
roles has no such key. In the folder the document is ``univ_news.txt.xz-01234.txt``.

What cannot be used (no such corpus, another text in it, a span that does not fit) is named with its line or its document;
the rest is written, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from renshi.labels import LABELS
from renshi.markup import AnnotatedDocument, MarkupError, RoleStrings, format_markup, on_one_line, read_markup
from renshi.parts import written_whole
from renshi.records import Entity
from training.corpora import documents, paragraphs

__all__ = ["Annotations", "StandoffError", "join", "main", "part", "read_annotations"]

_FILE = re.compile(r"(?P<corpus>.+)-(?P<document>\d+)")
_CORPORA = "corpora"


class StandoffError(ValueError):
    """Annotations that cannot be used; the message names the file, and the line or the document."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a line of the file says; see the module's docstring.

    Attributes:
        corpus: Path of the corpus below the data root, with slashes.
        spans: (start, end, label), sorted, never overlapping.
        roles: (person, title, organization or None), indices into spans.
    """

    corpus: str
    document: int
    paragraphs: Sequence[int]
    sha256: str
    spans: Sequence[tuple[int, int, str]]
    roles: Sequence[tuple[int, int, int | None]] = ()

    @property
    def id(self) -> str:
        return f"{PurePosixPath(self.corpus).name}-{self.document:05}"

    def to_json(self) -> str:
        row = {"corpus": self.corpus, "document": self.document, "paragraphs": list(self.paragraphs)}
        row |= {"sha256": self.sha256, "entities": list(self.spans)}
        return json.dumps(row | ({"roles": list(self.roles)} if self.roles else {}), ensure_ascii=False)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def join(annotations: Annotations, lines: Sequence[str]) -> AnnotatedDocument:
    """The annotations with the text of their document, given as its paragraphs. Raises StandoffError."""
    try:
        text = "\n".join(lines[number] for number in annotations.paragraphs)
    except IndexError:
        text = ""
    if digest(text) != annotations.sha256:
        raise StandoffError(
            f"document {annotations.document} of {annotations.corpus} is another text than the one that was annotated; "
            "the corpus must be the same file"
        )
    last = 0
    for start, end, label in annotations.spans:
        if not last <= start < end <= len(text) or label not in LABELS:
            raise StandoffError(f"[{start}, {end}, {label!r}] is no span of a text of {len(text)} characters")
        last = end
    entities = [Entity(start, end, text[start:end], label) for start, end, label in annotations.spans]
    return AnnotatedDocument(annotations.id, text, entities, [_named(role, entities) for role in annotations.roles])


_OF_A_ROLE = ("PER", "TITLE", "ORG")


def _named(role: tuple[int, int, int | None], entities: Sequence[Entity]) -> RoleStrings:
    """The strings of a role's entities. Raises StandoffError."""
    names = list[str | None]()
    for number, label in zip(role, _OF_A_ROLE, strict=True):
        if number is None:
            names.append(None)
        elif 0 <= number < len(entities) and entities[number].label == label:
            names.append(on_one_line(entities[number].text))
        else:
            raise StandoffError(f"role {list(role)}: entity {number} of {len(entities)} is no {label}")
    person, title, organization = names
    if person is None or title is None:
        raise StandoffError(f"role {list(role)}: has no person or no title")
    return person, title, organization


def _numbered(role: RoleStrings, document: AnnotatedDocument) -> tuple[int, int, int | None]:
    """The first entities with a role's strings. Raises StandoffError."""
    marked = [(on_one_line(entity.text), entity.label) for entity in document.entities]
    numbers = list[int | None]()
    for name, label in zip(role, _OF_A_ROLE, strict=True):
        numbers.append(None if name is None else marked.index((name, label)) if (name, label) in marked else -1)
    person, title, organization = numbers
    if person is None or title is None or -1 in numbers:
        line = " || ".join(name or "-" for name in role)
        raise StandoffError(f"{document.id}: the ROLE line {line} names what is not marked")
    return person, title, organization


def part(document: AnnotatedDocument, corpus: str, number: int, lines: Sequence[str]) -> Annotations:
    """The annotations of a marked text without it, given the paragraphs of the document that it was taken from.

    Raises StandoffError where the text is not made of some of these paragraphs, whole and in their order.
    """
    numbers, after = list[int](), 0
    for line in document.text.split("\n"):
        try:
            after = lines.index(line, after) + 1
        except ValueError:
            raise StandoffError(
                f"{document.id}: {line[:30]!r} is no paragraph of document {number} of {corpus}, or not in this order; "
                "the text must be whole paragraphs of it, unchanged"
            ) from None
        numbers.append(after - 1)
    spans = [(entity.start, entity.end, entity.label) for entity in document.entities]
    roles = [_numbered(role, document) for role in document.roles]
    return Annotations(corpus, number, numbers, digest(document.text), spans, roles)


def read_annotations(path: Path) -> Iterator[Annotations | StandoffError]:
    """The lines of a file; for one that is none of the form, what is wrong with it. Raises OSError."""
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield Annotations(
                str(row["corpus"]),
                int(row["document"]),
                [int(paragraph) for paragraph in row["paragraphs"]],
                str(row["sha256"]),
                [(int(start), int(end), str(label)) for start, end, label in row["entities"]],
                [(int(p), int(t), None if o is None else int(o)) for p, t, o in row.get("roles", [])],
            )
        except (ValueError, KeyError, TypeError) as error:
            yield StandoffError(f"{path}:{number}: is not a line of annotations ({error!r}); see training/standoff.py")


def _wanted(data_root: Path, corpus: str, numbers: Iterable[int]) -> dict[int, list[str]]:
    """The paragraphs of some documents of a corpus, which is read once. Raises StandoffError."""
    path, wanted = data_root / corpus, set(numbers)
    if not path.resolve().is_relative_to(data_root.resolve()):
        raise StandoffError(f"{corpus}: leads out of {data_root}; a corpus is a file below the data root")
    try:
        return {number: lines for number, lines in documents(paragraphs(path)) if number in wanted}
    except FileNotFoundError:
        raise StandoffError(
            f"{path}: there is no such corpus; {len(wanted)} annotated documents are of it. "
            "Give the folder that holds it with --data-root"
        ) from None
    except ValueError as error:  # a damaged file
        raise StandoffError(str(error)) from error


def read(source: Path, folder: Path, data_root: Path) -> Iterator[StandoffError]:
    """Write the folder of markup; yields what could not be used. Raises OSError."""
    by_corpus: defaultdict[str, list[Annotations]] = defaultdict(list)
    seen = set[str]()
    for row in read_annotations(source):
        if isinstance(row, StandoffError):
            yield row
        elif row.id in seen:
            yield StandoffError(f"{source}, {row.id}: a line before is of the same document; make one line of both")
        else:
            seen.add(row.id)
            by_corpus[row.corpus].append(row)
    folder.mkdir(parents=True, exist_ok=True)
    for corpus, rows in by_corpus.items():
        try:
            found = _wanted(data_root, corpus, (row.document for row in rows))
        except StandoffError as error:
            yield error
            continue
        for row in rows:
            try:
                document = join(row, found.get(row.document, []))
            except StandoffError as error:
                yield StandoffError(f"{source}, {row.id}: {error}")
                continue
            (folder / f"{row.id}.txt").write_text(format_markup(document), encoding="utf-8", newline="")


def _by_corpus(folder: Path) -> tuple[Mapping[str, Mapping[int, AnnotatedDocument]], list[StandoffError]]:
    """The marked documents of a folder by corpus and number, and what is none."""
    found: defaultdict[str, dict[int, AnnotatedDocument]] = defaultdict(dict)
    problems = []
    for path in sorted(folder.glob("*.txt")):
        match = _FILE.fullmatch(path.stem)
        if not match:
            problems.append(StandoffError(f"{path}: is not named as CORPUS-NUMBER.txt, such as news.txt.xz-01234.txt"))
            continue
        try:
            found[f"{_CORPORA}/{match['corpus']}"][int(match["document"])] = read_markup(path)
        except MarkupError as error:
            problems.append(StandoffError(str(error)))
    return found, problems


def write(folder: Path, target: Path, data_root: Path) -> Iterator[StandoffError]:
    """Write the file of annotations; yields what could not be used. Raises OSError."""
    by_corpus, problems = _by_corpus(folder)
    yield from problems
    rows = []
    for corpus, marked in by_corpus.items():
        try:
            found = _wanted(data_root, corpus, marked)
        except StandoffError as error:
            yield error
            continue
        for number, document in sorted(marked.items()):
            try:
                rows.append(part(document, corpus, number, found.get(number, [])))
            except StandoffError as error:
                yield error
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target, target.with_name(target.name + ".part")) as file:
        file.writelines(row.to_json() + "\n" for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, source, target in (
        ("read", read, "FILE", "FOLDER"),
        ("write", write, "FOLDER", "FILE"),
    ):
        command = commands.add_parser(name, help=f"{source} to {target}")
        command.add_argument("source", type=Path, metavar=source)
        command.add_argument("target", type=Path, metavar=target)
        command.add_argument(
            "--data-root", type=Path, default=Path("../shared/data"), help="holds the corpora's folder"
        )
        command.set_defaults(run=run)
    options = parser.parse_args(arguments)
    problems = 0
    try:
        for problem in options.run(options.source, options.target, options.data_root):
            print(problem, file=sys.stderr)
            problems += 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.target}: written" + (f", less {problems} that could not be used" if problems else ""))
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
