"""Measure a model end to end: raw text in, records out, compared with the annotation.

    python -m training.evaluate MODEL DATA… [--json FILE] [--html FILE] [--pictures FOLDER] [--train-data DATA…]
                                            [--compare MODEL]

MODEL is a folder, a Hub id, or `default` (the model in the package). DATA is a folder or file of inline markup, or
FORMAT:PATH for the official file of a public set (`cluener:public/cluener/dev.json`), of which only the labels that it
annotates are scored. Prints tables; exit status 1 where a document failed, 2 where nothing could be measured. The JSON:

    {"model", "settings", "versions",
     "sets":  {name: REPORT},    by the last two parts of DATA's path, or as many as tell the names apart
     "total": REPORT}            of all sets together, where there are several

    REPORT = {"documents", "characters", "failures": ["id: message"], "skipped": {reason: count},
     "spans":  {label | "micro" | "EVENT" | "EVENT, type ignored":
                   {"precision", "recall", "f1", "support", "f1_low", "f1_high"}},
     "roles":  {"from text" | "from gold entities" | "from text, person and title": …},
     "event_types": {"set": …, "first": {"accuracy", "support"}},
     "slices": {name: {…, "documents"}},
     "confusion": {gold label: {predicted label | "boundary" | "other" | "missed": count}, "spurious": {label: count}},
     "compared": {"model", "f1", "p"}}

Intervals are 95 %, by bootstrap over documents. `metrics.confuse` says what the words of the confusion table mean.
Roles are scored on fully annotated sets that state some, event types where events are annotated. "skipped" counts what a
set's reader left out. "compared", under --compare: the other model's micro F1, and p for "MODEL is better than it".
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import renshi
from renshi.events import document_event_types
from renshi.extractor import Extractor, ExtractorError
from renshi.labels import LABELS, event_type
from renshi.markup import on_one_line
from renshi.records import Document, Entity, Failure, Record
from renshi.roles import find_roles
from renshi.text import HAN, is_pinyin, normalize
from training import models
from training.metrics import (
    Counts,
    Span,
    bootstrap_interval,
    compare_sets,
    confuse,
    paired_bootstrap,
    score_of,
    span_of,
)
from training.sources import FORMATS, Example, SourceError, read_source
from training.worst import worst_documents

__all__ = [
    "Judged",
    "evaluate",
    "judge",
    "main",
    "read_data",
    "role_counts",
    "set_names",
    "span_counts",
    "with_roles",
    "worst_documents",
]

MICRO, EVENTS, EVENTS_UNTYPED = "micro", "EVENT", "EVENT, type ignored"


@dataclass(frozen=True, slots=True)
class Judged:
    """An example with what the model read in it; `record` is empty where the document failed."""

    example: Example
    record: Record
    failure: Failure | None = None

    @property
    def gold(self) -> list[Entity]:
        return list(self.example.entities)

    @property
    def predicted(self) -> list[Entity]:
        """Predictions that the source can judge: of its labels, and not where it is in doubt itself."""
        doubtful = {span_of(entity) for entity in self.example.doubtful}
        entities = (entity for entity in self.record.entities if entity.label in self.example.annotated)
        return [entity for entity in entities if span_of(entity) not in doubtful]


def judge(extractor: Extractor, examples: Sequence[Example]) -> list[Judged]:
    """Run the extractor over the raw texts."""
    documents = (Document(example.id, example.text) for example in examples)
    judged = []
    for example, record in zip(examples, extractor.extract(documents), strict=True):
        if isinstance(record, Failure):
            judged.append(Judged(example, Record(example.id, example.text), record))
        else:
            judged.append(Judged(example, record))
    return judged


# ── what is counted ──────────────────────────────────────────────────────────────────────────────────────────────────

Filter = Callable[[Judged, Entity], bool]


def _everything(item: Judged, entity: Entity) -> bool:
    return True


def _is_event(item: Judged, entity: Entity) -> bool:
    return event_type(entity.label) is not None


def _labelled(label: str) -> Filter:
    return lambda item, entity: entity.label == label


def span_counts(judged: Iterable[Judged], keep: Filter = _everything, untyped: bool = False) -> Counts:
    """Counts over the entities that `keep` lets through, gold and predicted alike."""

    def keys(item: Judged, entities: Sequence[Entity]) -> set[Span]:
        return {(e.start, e.end, e.label.split(".")[0] if untyped else e.label) for e in entities if keep(item, e)}

    return _table((keys(item, item.predicted), keys(item, item.gold)) for item in judged)


def _table(pairs: Iterable[tuple[Iterable[Any], Iterable[Any]]]) -> Counts:
    """Counts of (predicted, gold) sets, a row a document."""
    rows = [compare_sets(set(predicted), set(gold)) for predicted, gold in pairs]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def _normalized_gold(item: Judged) -> tuple[str, list[Entity]]:
    """The text as the extractor reads it, with the gold entities in it."""
    normalized = normalize(item.example.text)
    spans = [normalized.from_raw(entity.start, entity.end) for entity in item.gold]
    return normalized.text, [
        replace(entity, start=start, end=end, text=normalized.text[start:end])
        for entity, (start, end) in zip(item.gold, spans, strict=True)
    ]


def _role_strings(entities: Sequence[Entity], roles: Iterable[Any]) -> set[tuple[str, str, str]]:
    def text(index: int | None) -> str:
        return "-" if index is None else on_one_line(entities[index].text)

    return {(text(role.person), text(role.title), text(role.organization)) for role in roles}


def _gold_roles(item: Judged) -> set[tuple[str, str, str]]:
    return {(on_one_line(p), on_one_line(t), on_one_line(o or "-")) for p, t, o in item.example.roles}


def role_counts(judged: Sequence[Judged]) -> dict[str, Counts]:
    """Counts of distinct (person, title, organization) strings: as the records have them, as the grammar reads them
    when every entity is right, and as the records have them without the organization."""
    gold = [_gold_roles(item) for item in judged]
    read = [_role_strings(item.record.entities, item.record.roles) for item in judged]
    grammar = [
        _role_strings(item.gold, find_roles(*_normalized_gold(item), [on_one_line(e.text) for e in item.gold])[0])
        for item in judged
    ]

    def persons_and_titles(roles: list[set[tuple[str, str, str]]]) -> list[set[tuple[str, str]]]:
        return [{(person, title) for person, title, _ in document} for document in roles]

    return {
        "from text": _table(zip(read, gold, strict=True)),
        "from gold entities": _table(zip(grammar, gold, strict=True)),
        "from text, person and title": _table(zip(persons_and_titles(read), persons_and_titles(gold), strict=True)),
    }


def event_type_scores(judged: Sequence[Judged]) -> dict[str, Any]:
    """The sets of event types of the documents, and whether the most salient is the same."""
    gold = [[event.type for event in document_event_types(*_normalized_gold(item))] for item in judged]
    read = [[event.type for event in item.record.event_types] for item in judged]
    first = [types[:1] == wanted[:1] for types, wanted in zip(read, gold, strict=True) if wanted]
    accuracy = round(sum(first) / len(first), 4) if first else 0.0
    return {
        "set": _row(_table(zip(read, gold, strict=True))),
        "first": {"accuracy": accuracy, "support": len(first)},
    }


def confusion(judged: Iterable[Judged]) -> dict[str, dict[str, int]]:
    """The pairs of `metrics.confuse` over all documents, as a table of rows."""
    pairs: Counter[tuple[str, str]] = Counter()
    for item in judged:
        pairs += confuse(map(span_of, item.predicted), map(span_of, item.gold))
    table: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for (row, column), count in sorted(pairs.items()):
        table[row][column] = count
    return dict(table)


# ── slices ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_SCRAPED = re.compile(f"\ufffd|(?<=[{HAN}])[?,](?=[{HAN}])")
_BRACKETED = re.compile(f"(?<=[{HAN}])[(（]([^()（）]{{1,6}})[)）]")


def is_damaged(text: str) -> bool:
    """Two or more signs of a scraper: U+FFFD, ``?`` or a half-width comma between ideographs, bracketed pinyin."""
    return len(_SCRAPED.findall(text)) + sum(map(is_pinyin, _BRACKETED.findall(text))) >= 2


def is_traditional(text: str) -> bool:
    """More than one character in twenty is an ideograph that the normalization simplifies, by OpenCC's tables (in
    Traditional pages about a third is)."""
    normalized = normalize(text)
    pairs = zip(normalized.text, (text[start] for start in normalized.starts.tolist()), strict=True)
    changed = sum(char != raw and raw >= "\u3400" and char >= "\u3400" and raw < "\uff00" for char, raw in pairs)
    return changed > len(text) / 20


_DOCUMENT_SLICES: dict[str, Callable[[str], bool]] = {
    "Simplified, clean": lambda text: not is_traditional(text) and not is_damaged(text),
    "Traditional": is_traditional,
    "damaged": is_damaged,
    "under 500 characters": lambda text: len(text) < 500,
    "500 to 1,500 characters": lambda text: 500 <= len(text) < 1500,
    "1,500 characters and more": lambda text: len(text) >= 1500,
}


def _in_roster(item: Judged, entity: Entity) -> bool:
    """Whether the entity's sentence names five persons or more."""
    text = item.example.text
    start = max(text.rfind(end, 0, entity.start) for end in "。！？\n") + 1
    end = min((place for mark in "。！？\n" if (place := text.find(mark, entity.end)) >= 0), default=len(text))
    return sum(other.label == "PER" and start <= other.start < end for other in item.gold) >= 5


def _unseen(label: str, mentions: set[str]) -> Filter:
    return lambda item, entity: entity.label == label and normalize(entity.text).text not in mentions


def slices(judged: Sequence[Judged], seen: dict[str, set[str]]) -> dict[str, Any]:
    """Span scores of parts of the data, each with the number of documents that have something in it.

    `seen`: the mentions of each label in the training data, normalized as the model reads them.
    """
    table: dict[str, Any] = {}
    for name, belongs in _DOCUMENT_SLICES.items():
        part = [item for item in judged if belongs(item.example.text)]
        if part:
            table[name] = {"documents": len(part), **_row(span_counts(part))}
    filters: dict[str, Filter] = {"sentences of five persons and more": _in_roster}
    filters |= {
        f"{label} never seen in training": _unseen(label, seen[label]) for label in ("PER", "ORG") if seen.get(label)
    }
    for name, keep in filters.items():
        counts = span_counts(judged, keep)
        table[name] = {"documents": int(counts[:, 1:].any(axis=1).sum()), **_row(counts)}
    return table


# ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _row(counts: Counts, samples: int = 0, seed: int = 0) -> dict[str, Any]:
    row: dict[str, Any] = {key: round(value, 4) for key, value in asdict(score_of(counts)).items()}
    if samples:
        row["f1_low"], row["f1_high"] = (round(bound, 4) for bound in bootstrap_interval(counts, samples, seed))
    return row


def _all_span_counts(judged: Sequence[Judged], annotated: frozenset[str]) -> dict[str, Counts]:
    """Micro, each annotated label, and events all together, with their types and without."""
    spans = {MICRO: span_counts(judged)}
    spans |= {label: span_counts(judged, _labelled(label)) for label in LABELS if label in annotated}
    if any(map(event_type, annotated)):
        spans[EVENTS] = span_counts(judged, _is_event)
        spans[EVENTS_UNTYPED] = span_counts(judged, _is_event, untyped=True)
    return spans


def with_roles(judged: Sequence[Judged]) -> Sequence[Judged]:
    """The documents of a set on which roles can be scored: none where it states no role,
    and every one found would count as wrong."""
    full = [item for item in judged if item.example.annotated >= set(LABELS)]
    return full if any(item.example.roles for item in full) else ()


def evaluate(
    judged: Sequence[Judged],
    seen: dict[str, set[str]],
    samples: int = 1000,
    seed: int = 0,
    roles_of: Sequence[Judged] | None = None,
) -> dict[str, Any]:
    """The report of one or more data sets, as the module's docstring lays it out, without what its reader skipped.
    Roles are scored on `roles_of`: the `with_roles` of each set, which for a single one is the default."""
    roles_of = with_roles(judged) if roles_of is None else roles_of
    annotated = frozenset[str]().union(*(item.example.annotated for item in judged))
    with_events = [item for item in judged if any(map(event_type, item.example.annotated))]
    report: dict[str, Any] = {
        "documents": len(judged),
        "characters": sum(len(item.example.text) for item in judged),
        "failures": [f"{item.failure.id}: {item.failure.message}" for item in judged if item.failure],
        "spans": {name: _row(counts, samples, seed) for name, counts in _all_span_counts(judged, annotated).items()},
        "slices": slices(judged, seen),
        "confusion": confusion(judged),
    }
    if with_events:
        report["event_types"] = event_type_scores(with_events)
    if roles_of:
        report["roles"] = {name: _row(counts, samples, seed) for name, counts in role_counts(roles_of).items()}
    return report


def _located(argument: str) -> tuple[str, Path]:
    """Format and path of a DATA argument."""
    head, colon, tail = argument.partition(":")
    return (head, Path(tail)) if colon and head in FORMATS else ("markup", Path(argument))


def _short(path: Path, parts: int = 2) -> str:
    """The end of a path: a name that is the same on every machine."""
    return "/".join(path.absolute().parts[-parts:])


def set_names(arguments: Sequence[str]) -> list[str]:
    """Short names that tell the sets apart. Raises SourceError where one is given twice."""
    paths = [_located(argument)[1].absolute() for argument in arguments]
    for parts in range(2, max(len(path.parts) for path in paths) + 1):
        names = [_short(path, parts) for path in paths]
        if len(set(names)) == len(names):
            return names
    twice = next(argument for argument, path in zip(arguments, paths, strict=True) if paths.count(path) > 1)
    raise SourceError(f"{twice}: given twice; each DATA is one set of the report")


@dataclass(slots=True)
class DataSet:
    """What one DATA argument holds, and what its reader skipped."""

    examples: list[Example]
    skipped: dict[str, int] = field(default_factory=dict)


def read_data(argument: str) -> DataSet:
    """Read one DATA argument; what could not be read is reported on standard error too. Raises SourceError."""
    examples, report = read_source(*_located(argument))
    if report.skipped:
        print(report, file=sys.stderr)
    return DataSet(examples, dict(report.skipped))


def seen_mentions(arguments: Sequence[str]) -> dict[str, set[str]]:
    """The normalized mentions of each label in the training data."""
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for argument in arguments:
        for example in read_data(argument).examples:
            for entity in example.entities:
                seen[entity.label].add(entity.text)
    return {label: {normalize(mention).text for mention in mentions} for label, mentions in seen.items()}


# ── on the terminal ──────────────────────────────────────────────────────────────────────────────────────────────────


def _plain_table(*columns: str) -> Table:
    """A table without rules whose columns, but the first, are numbers."""
    table = Table(columns[0], box=None, pad_edge=False)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _score_table(section: str, rows: dict[str, Any]) -> Table:
    last = ["documents"] if section == "slices" else []
    table = _plain_table(section, "precision", "recall", "F1", "95 %", "gold", *last)
    for key, row in rows.items():
        interval = f"{row['f1_low']:.3f}–{row['f1_high']:.3f}" if "f1_low" in row else ""
        numbers = (f"{row[part]:.3f}" for part in ("precision", "recall", "f1"))
        table.add_row(key, *numbers, interval, f"{row['support']:,}", *(f"{row[column]:,}" for column in last))
    return table


def _confusion_table(confused: dict[str, dict[str, int]]) -> Table:
    table = _plain_table("gold", "right", "boundary", "other", "missed", "spurious")
    table.add_column("as another label on the same span")
    spurious = confused.get("spurious", {})
    for label in (label for label in LABELS if label in confused or label in spurious):
        row = confused.get(label, {})
        others = sorted((-count, name) for name, count in row.items() if name in LABELS and name != label)
        named = ", ".join(f"{name} {-count}" for count, name in others)
        numbers = (row.get(column, 0) for column in (label, "boundary", "other", "missed"))
        table.add_row(label, *map(str, numbers), str(spurious.get(label, 0)), named)
    return table


def print_report(name: str, report: dict[str, Any], console: Console) -> None:
    """The tables of one report."""
    head = f"{report['documents']:,} documents, {report['characters']:,} characters"
    console.print(f"\n[bold]{escape(name)}[/]: {head}")
    for section in ("spans", "roles", "slices"):
        if section in report:
            console.print(_score_table(section, report[section]))
    if types := report.get("event_types"):
        first = types["first"]["accuracy"]
        console.print(f"event types of the document: F1 {types['set']['f1']:.3f}, most salient right {first:.3f}")
    if report["confusion"]:
        console.print(_confusion_table(report["confusion"]))
    if other := report.get("compared"):
        console.print(
            f"micro F1 of {other['model']}: {other['f1']:.4f}; p for better than it: {other['p']:.4f}", markup=False
        )
    for message in report["failures"]:
        console.print(f"failed: {message}", markup=False)


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder, Hub id, or default")
    parser.add_argument("data", nargs="+", help="markup folder or file, or FORMAT:PATH")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the twenty worst documents")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="draw each label's F1, and the confusions")
    parser.add_argument("--train-data", nargs="+", default=[], metavar="DATA", help="what the model was trained on")
    parser.add_argument("--compare", metavar="MODEL", help="another model: p that MODEL is better than it")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--batch-tokens", type=_positive, metavar="N", help="tokens in the model at once")
    parser.add_argument("--bootstrap", type=_positive, default=1000, metavar="N", help="resampled sets (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def _load(name: str, options: argparse.Namespace) -> Extractor:
    return Extractor.from_pretrained(
        None if name == models.PACKAGED else name,
        device=options.device,
        dtype=options.dtype,
        batch_tokens=options.batch_tokens,
    )


def _model_name(extractor: Extractor) -> str:
    path = Path(extractor.model_name)
    return _short(path) if path.is_dir() else extractor.model_name


def _compared(other: Extractor, examples: Sequence[Example], ours: Counts, samples: int, seed: int) -> dict[str, Any]:
    theirs = span_counts(judge(other, examples))
    p = paired_bootstrap(theirs, ours, samples, seed)
    return {"model": _model_name(other), "f1": round(score_of(theirs).f1, 4), "p": round(p, 4)}


def _conditions(extractor: Extractor, options: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on besides the data; nothing that differs between two runs of one command."""
    import torch
    import transformers

    return {
        "model": _model_name(extractor),
        "settings": {
            "device": extractor.model.device,
            "dtype": options.dtype,
            "batch_tokens": extractor.batch_tokens,
            "bootstrap": options.bootstrap,
            "seed": options.seed,
            "train_data": [_short(_located(argument)[1]) for argument in options.train_data],
        },
        "versions": {
            "renshi": renshi.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }


def _check_writable(paths: Iterable[Path | None]) -> None:
    """Before the run rather than after it. Raises OSError."""
    for path in filter(None, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        names = set_names(options.data)
        sets = dict(zip(names, map(read_data, options.data), strict=True))
        seen = seen_mentions(options.train_data)
        _check_writable((options.json, options.html))
        extractor = _load(options.model, options)
        other = _load(options.compare, options) if options.compare else None
    except (ExtractorError, SourceError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    console = Console(width=110)
    report: dict[str, Any] = {**_conditions(extractor, options), "sets": {}}
    everything: list[Judged] = []
    roles_of: list[Judged] = []
    for name, data in sets.items():
        judged = judge(extractor, data.examples)
        everything += judged
        roles_of += with_roles(judged)
        result = evaluate(judged, seen, options.bootstrap, options.seed) | {"skipped": data.skipped}
        if other:
            ours = span_counts(judged)
            result["compared"] = _compared(other, data.examples, ours, options.bootstrap, options.seed)
        report["sets"][name] = result
        print_report(name, result, console)
    if len(sets) > 1:
        report["total"] = evaluate(everything, seen, options.bootstrap, options.seed, roles_of)
        print_report("total", report["total"], console)
    if options.json:
        text = json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    if options.pictures:
        from training.pictures import save  # Matplotlib takes a second to load

        save(report, options.pictures)
    if options.html:
        options.html.write_text(worst_documents(everything), encoding="utf-8")
    return 1 if any(item.failure for item in everything) else 0


if __name__ == "__main__":
    raise SystemExit(main())
