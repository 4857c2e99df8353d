"""Annotated text of every kind to one kind of example: the inline markup, the official files of four public sets, and
what a model labelled (`training.selftrain`).

A public set has labels of its own and annotates some of ours; the table `SOURCES` says which, and how its labels map.
For the set's own benchmark it is read with its own labels, all of them certain.
Foreign conventions (inclusive ends, BMES, position digits) end here. Nothing is dropped silently: a reader counts what
it could not use, with its reason and the first places, and goes on.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from renshi.labels import LABELS
from renshi.markup import MarkupError, RoleStrings, read_markup
from renshi.records import Entity

__all__ = ["FORMATS", "SOURCES", "Example", "ReadReport", "SourceError", "read_native", "read_source"]


class SourceError(ValueError):
    """A file or folder that cannot be read at all; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text with what its source says of it; offsets are into `text`, which is raw.

    Attributes:
        entities: Spans that are certain, in our labels (or in the set's own, if read so), sorted, never overlapping.
        doubtful: Spans that may or may not bear their label: training allows O or the label on them. May overlap.
        annotated: The labels of ours that the source annotates; elsewhere O says "none of these".
        roles: Gold roles as surface strings, where the source has them.
    """

    id: str
    text: str
    entities: Sequence[Entity]
    doubtful: Sequence[Entity]
    annotated: frozenset[str]
    roles: Sequence[RoleStrings] = ()


@dataclass(slots=True)
class ReadReport:
    """How much was read, and what was left out: by reason, with the first places of each."""

    source: str
    examples: int = 0
    spans: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    places: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def skip(self, reason: str, place: str) -> None:
        self.skipped[reason] += 1
        if len(self.places[reason]) < 3:
            self.places[reason].append(place)

    def __str__(self) -> str:
        lines = [f"{self.source}: {self.examples:,} examples, {self.spans:,} spans"]
        lines += [
            f"  {n:,} {reason} ({', '.join(self.places[reason])} …)" for reason, n in sorted(self.skipped.items())
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Native:
    """A text with the spans of its set in the set's own labels; `place` is file and line. `doubtful` are spans that the
    set itself calls so."""

    place: str
    text: str
    spans: Sequence[tuple[int, int, str]]
    roles: Sequence[RoleStrings] = ()
    doubtful: Sequence[tuple[int, int, str]] = ()


# Titles of the guidelines by how they end: offices, ranks, honours. What CLUENER calls a position and ends otherwise
# (记者, 专家, 导演, 选手, 律师 … of its train split 16 % are 记者 alone) may be a plain occupation, which is no title.
_TITLE_ENDING = re.compile(
    "(长|主任|经理|总监|总裁|书记|主席|董事|教授|研究员|院士|博士|委员|理事|监事|总统|总理|首相|常委|顾问|主编|总编|政委"
    "|[上中少大][将校尉]|司令员?|参谋|工程师|经济师|会计师|医师|行长|督导员|巡视员|调研员|主管|C[ETFOI]O|c[etfoi]o|导师|部长助理|总经理助理)$"
)
# In ResumeNER a title holds its department (财务部经理, 第一届董事会董事), which the guidelines make an ORG and a TITLE.
_HOLDS_DEPARTMENT = re.compile("(部|处|科|室|局|中心|工会|团委|监事会|董事会(?!秘书))(?!长)(?=.{2})|届|[、,，]")
_PARTY = re.compile("党员|^(注册|专业|高级|资深|荣誉)?会员|成员$|民主党派|群众|共青团员")


def _sure_title(text: str) -> tuple[str, ...] | None:
    return None if _TITLE_ENDING.search(text) else ("TITLE",)


def _resume_title(text: str) -> tuple[str, ...] | None:
    if _PARTY.search(text):
        return ()
    return ("TITLE", "ORG") if _HOLDS_DEPARTMENT.search(text) else None


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source is to us.

    Attributes:
        read: Path and report to native spans.
        own_labels: The set's labels, as its publisher gives them.
        labels: Those of them that mean something to us, to ours.
        annotated: Which of our labels the set annotates.
        doubt: For one of our labels, a mention's text to the labels that it may or may not bear: None where it is
            certain, empty where it is certainly none.
        remark: What to know when using it.
    """

    read: Callable[[Path, ReadReport], Iterator[_Native]]
    own_labels: tuple[str, ...]
    labels: Mapping[str, str]
    annotated: frozenset[str]
    doubt: Mapping[str, Callable[[str], tuple[str, ...] | None]] = field(default_factory=dict)
    remark: str = ""


def read_source(name: str, path: Path, own_labels: bool = False) -> tuple[list[Example], ReadReport]:
    """The examples of one file (or, for ``markup``, file or folder) in the format `name`, and what was left out.

    Args:
        own_labels: Keep all the labels of the set instead of making ours of those that mean something to us.

    Raises:
        SourceError: The format is unknown, the path does not exist or holds nothing of the format.
    """
    info = _info(name)
    if own_labels:
        info = replace(
            info, labels={label: label for label in info.own_labels}, annotated=frozenset(info.own_labels), doubt={}
        )
    report = ReadReport(f"{name} {path.name}")
    examples = [_to_example(native, info, report) for native in _open(info, path, report)]
    report.examples = len(examples)
    if not examples:
        raise SourceError(f"{path}: holds nothing that reads as {name}; {info.remark or 'is it the right file?'}")
    return examples, report


def read_native(name: str, path: Path) -> tuple[list[tuple[str, Sequence[tuple[int, int, str]]]], ReadReport]:
    """The same texts with the set's own labels: pairs of text and half-open (start, end, label)."""
    info = _info(name)
    report = ReadReport(f"{name} {path.name}")
    pairs = [(native.text, native.spans) for native in _open(info, path, report)]
    report.examples = len(pairs)
    report.spans = sum(len(spans) for _, spans in pairs)
    return pairs, report


def _info(name: str) -> SourceInfo:
    if name not in SOURCES:
        raise SourceError(f"format {name!r} is unknown; formats are {', '.join(SOURCES)}")
    return SOURCES[name]


def _open(info: SourceInfo, path: Path, report: ReadReport) -> Iterator[_Native]:
    if not path.exists():
        raise SourceError(f"{path}: there is no such file or folder; data/README.md says where the sets come from")
    return info.read(path, report)


def _to_example(native: _Native, info: SourceInfo, report: ReadReport) -> Example:
    entities: list[Entity] = []
    doubtful = [
        Entity(start, end, native.text[start:end], info.labels[label])
        for start, end, label in native.doubtful
        if label in info.labels
    ]
    for start, end, own_label in sorted(native.spans, key=lambda span: (span[0], -span[1])):  # the longest first
        text, label = native.text[start:end], info.labels.get(own_label)
        if own_label not in info.own_labels:
            report.skip(f"spans with a label that the set does not have ({own_label})", native.place)
        if label is None:
            continue
        doubt = info.doubt[label](text) if label in info.doubt else None
        if doubt is not None:
            doubtful += [Entity(start, end, text, possible) for possible in doubt]
        elif entities and start < entities[-1].end:
            report.skip("spans inside or across another one", native.place)
        else:
            entities.append(Entity(start, end, text, label))
    report.spans += len(entities)
    return Example(native.place, native.text, entities, doubtful, info.annotated, native.roles)


def _read_markup(path: Path, report: ReadReport) -> Iterator[_Native]:
    for file in sorted(path.rglob("*.txt")) if path.is_dir() else [path]:
        try:
            document = read_markup(file)
        except MarkupError as error:
            report.skip("files that are not markup", str(error))
            continue
        spans = [(entity.start, entity.end, entity.label) for entity in document.entities]
        yield _Native(document.id, document.text, spans, document.roles)


def _read_cluener(path: Path, report: ReadReport) -> Iterator[_Native]:
    for number, line in enumerate(_lines(path), start=1):
        place = f"{path.name}:{number}"
        if not line.strip():
            continue
        try:
            item = json.loads(line)
            text = item["text"]
            mentions = [
                (start, end + 1, label, mention)
                for label, found in item.get("label", {}).items()
                for mention, places in found.items()
                for start, end in places  # both inclusive
            ]
        except (ValueError, KeyError, TypeError, AttributeError):
            report.skip("lines that are not CLUENER's JSON", place)
            continue
        spans = []
        for start, end, label, mention in mentions:
            if text[start:end] == mention:
                spans.append((start, end, label))
            else:
                report.skip("mentions that are not what stands there", place)
        yield _Native(place, text, spans)


def _read_silver(path: Path, report: ReadReport) -> Iterator[_Native]:
    for file in sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]:
        for number, line in enumerate(_lines(file), start=1):
            place = f"{file.name}:{number}"
            if not line.strip():
                continue
            try:
                item = json.loads(line)
                text = item["text"]
                certain, doubtful = (
                    [(int(span["start"]), int(span["end"]), str(span["label"])) for span in item.get(key, [])]
                    for key in ("entities", "doubtful")
                )
                found = [*certain, *doubtful]
                if not all(0 <= start < end <= len(text) and label in LABELS for start, end, label in found):
                    raise ValueError("a span outside the text, or a label that is none")
            except (ValueError, KeyError, TypeError, AttributeError):
                report.skip("lines that are not a text with spans in JSON", place)
                continue
            yield _Native(str(item.get("id", place)), text, certain, (), doubtful)


def _column_reader(
    separator: str | None, position_digit: bool = False
) -> Callable[[Path, ReadReport], Iterator[_Native]]:
    """A reader of one character and its tag a line, blank lines between sentences. `position_digit`: a digit that the
    set appends to each character (its place in the word) is taken off."""

    def read(path: Path, report: ReadReport) -> Iterator[_Native]:
        characters: list[str] = []
        tags: list[str] = []
        first = 1
        for number, line in enumerate([*_lines(path), ""], start=1):
            if not line.strip():
                if characters:
                    yield _sentence(f"{path.name}:{first}", characters, tags, report)
                characters, tags, first = [], [], number + 1
                continue
            columns = line.split(separator)
            character = columns[0][:-1] if position_digit else columns[0]
            if len(columns) != 2 or not character:
                report.skip("lines that are not a character and its tag", f"{path.name}:{number}")
                continue
            characters.append(character)
            tags.append(columns[1])

    return read


def _sentence(place: str, characters: Sequence[str], tags: Sequence[str], report: ReadReport) -> _Native:
    starts = [0]
    for character in characters:
        starts.append(starts[-1] + len(character))
    spans = [
        (starts[a], starts[b], label) for a, b, label in _tag_spans(tags, lambda reason: report.skip(reason, place))
    ]
    return _Native(place, "".join(characters), spans)


def _tag_spans(tags: Sequence[str], illegal: Callable[[str], None]) -> Iterator[tuple[int, int, str]]:
    """(start, end, label) of BIO or BMES (BIOES) tags. A tag that may not follow the one before begins a span of its
    own, as in the sets' usual readers, and is reported."""
    start, label = -1, ""
    for index, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        goes_on = prefix in ("I", "M", "E")
        if start >= 0 and not (goes_on and name == label):
            yield start, index, label
            start = -1
        if goes_on and start < 0:
            illegal("tags that may not follow the one before")
        if prefix != "O" and start < 0:
            start, label = index, name
        if prefix in ("E", "S"):
            yield start, index + 1, label
            start = -1


def _lines(path: Path) -> Iterable[str]:
    try:
        return path.read_bytes().decode("utf-8").split("\n")
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise SourceError(f"{path}: is not a UTF-8 file ({error}); give the set's official file") from error


_NAMES = frozenset({"PER", "ORG"})

SOURCES: dict[str, SourceInfo] = {
    "markup": SourceInfo(
        _read_markup,
        own_labels=LABELS,
        labels={label: label for label in LABELS},
        annotated=frozenset(LABELS),
        remark="a folder of .txt files in the inline markup of docs/guidelines.md, or one such file",
    ),
    "cluener": SourceInfo(
        _read_cluener,
        own_labels=(
            "name",
            "position",
            "organization",
            "government",
            "company",
            "address",
            "book",
            "game",
            "movie",
            "scene",
        ),
        labels={"name": "PER", "organization": "ORG", "company": "ORG", "government": "ORG", "position": "TITLE"},
        annotated=_NAMES | {"TITLE"},
        doubt={"TITLE": _sure_title},
        remark="CLUENER2020, {train,dev}.json: JSON lines, inclusive ends; addresses, works and games mean nothing here",
    ),
    "resume": SourceInfo(
        _column_reader(" "),
        own_labels=("NAME", "TITLE", "ORG", "EDU", "PRO", "CONT", "RACE", "LOC"),
        labels={"NAME": "PER", "ORG": "ORG", "TITLE": "TITLE"},
        annotated=_NAMES | {"TITLE"},
        doubt={"TITLE": _resume_title},
        remark="ResumeNER, {train,dev,test}.char.bmes: BMES, space separated; 中共党员 and the like are no titles here",
    ),
    "msra": SourceInfo(
        _column_reader(None),
        own_labels=("PER", "ORG", "LOC"),
        labels={"PER": "PER", "ORG": "ORG"},
        annotated=_NAMES,
        remark="MSRA NER, {train,test}.bio: BIO, a tab or a space between; has neither titles nor events",
    ),
    "weibo": SourceInfo(
        _column_reader(None, position_digit=True),
        own_labels=tuple(f"{label}.{kind}" for label in ("PER", "ORG", "GPE", "LOC") for kind in ("NAM", "NOM")),
        labels={"PER.NAM": "PER", "ORG.NAM": "ORG"},
        annotated=_NAMES,
        remark="Weibo NER v2, weiboNER_2nd_conll.{train,dev,test}: nominal mentions (NOM), GPE and LOC mean nothing here",
    ),
    "silver": SourceInfo(
        _read_silver,
        own_labels=LABELS,
        labels={label: label for label in LABELS},
        annotated=frozenset(LABELS),
        remark="a folder that python -m training.selftrain wrote, or one of its .jsonl files",
    ),
}

FORMATS: tuple[str, ...] = tuple(SOURCES)
