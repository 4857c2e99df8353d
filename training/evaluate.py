"""Measure a model end to end: raw text in, records out, compared with the annotation.

    python -m training.evaluate MODEL DATA… [--json FILE] [--html FILE] [--train-data DATA…] [--compare MODEL]

MODEL is a folder, a Hub id, or `default` (the model in the package). DATA is a folder or file of inline markup, or
FORMAT:PATH for the official file of a public set (`cluener:public/cluener/dev.json`), of which only the labels that it
annotates are scored. Prints tables; the JSON has, for each DATA:

    {"documents", "characters",
     "spans":  {label | "micro" | "EVENT" | "EVENT, type ignored":
                   {"precision", "recall", "f1", "support", "f1_low", "f1_high"}},
     "roles":  {"from text" | "from gold entities" | "from text, person and title": …},
     "event_types": {"set": …, "first": {"accuracy", "support"}},
     "slices": {name: {…, "documents"}},
     "confusion": {gold label | "nothing": {predicted label | "other borders" | "nothing": count}}}

Intervals are 95 %, by bootstrap over documents.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import renshi
from renshi.events import document_event_types
from renshi.extractor import Extractor, ExtractorError
from renshi.labels import LABELS, event_type
from renshi.records import Document, Entity, Failure, Record
from renshi.roles import find_roles
from renshi.text import HAN, normalize
from renshi.writers import PAGE_HEAD, escaped, marked_text
from training.metrics import Counts, bootstrap_interval, compare_sets, paired_bootstrap, score_of
from training.sources import FORMATS, Example, SourceError, read_source

__all__ = ["Judged", "evaluate", "judge", "main"]

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
        doubtful = {_key(entity) for entity in self.example.doubtful}
        entities = (entity for entity in self.record.entities if entity.label in self.example.annotated)
        return [entity for entity in entities if _key(entity) not in doubtful]


def _key(entity: Entity) -> tuple[int, int, str]:
    return entity.start, entity.end, entity.label


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


def span_counts(judged: Iterable[Judged], keep: Filter = lambda item, entity: True, untyped: bool = False) -> Counts:
    """Counts over the entities that `keep` lets through, gold and predicted alike."""

    def keys(item: Judged, entities: Sequence[Entity]) -> set[tuple[int, int, str]]:
        return {(e.start, e.end, e.label.split(".")[0] if untyped else e.label) for e in entities if keep(item, e)}

    rows = [compare_sets(keys(item, item.predicted), keys(item, item.gold)) for item in judged]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def _surface(text: str) -> str:
    """A surface string as ROLE lines have it: on one line."""
    return text.replace("\n", "").replace("\r", "")


def _role_strings(entities: Sequence[Entity], roles: Iterable[Any]) -> set[tuple[str, str, str]]:
    def text(index: int | None) -> str:
        return "-" if index is None else _surface(entities[index].text)

    return {(text(role.person), text(role.title), text(role.organization)) for role in roles}


def _gold_roles(item: Judged) -> set[tuple[str, str, str]]:
    return {(_surface(p), _surface(t), _surface(o or "-")) for p, t, o in item.example.roles}


def _roles_from_gold(item: Judged) -> set[tuple[str, str, str]]:
    """The roles that the grammar reads when every entity is right."""
    normalized = normalize(item.example.text)
    spans = [normalized.from_raw(entity.start, entity.end) for entity in item.gold]
    entities = [
        replace(entity, start=start, end=end, text=normalized.text[start:end])
        for entity, (start, end) in zip(item.gold, spans, strict=True)
    ]
    return _role_strings(item.gold, find_roles(normalized.text, entities)[0])


def role_counts(judged: Sequence[Judged]) -> dict[str, Counts]:
    gold = [_gold_roles(item) for item in judged]
    read = [_role_strings(item.record.entities, item.record.roles) for item in judged]
    pairs: dict[str, Iterable[tuple[set[Any], set[Any]]]] = {
        "from text": zip(read, gold, strict=True),
        "from gold entities": zip(map(_roles_from_gold, judged), gold, strict=True),
        "from text, person and title": (
            ({role[:2] for role in one}, {role[:2] for role in other}) for one, other in zip(read, gold, strict=True)
        ),
    }
    return {
        name: np.array([compare_sets(*pair) for pair in rows], dtype=np.int64).reshape(-1, 3)
        for name, rows in pairs.items()
    }


def event_type_scores(judged: Sequence[Judged]) -> dict[str, Any]:
    """The sets of event types of the documents, and whether the most salient is the same."""
    gold = [[event.type for event in document_event_types(item.example.text, item.gold)] for item in judged]
    read = [[event.type for event in item.record.event_types] for item in judged]
    counts = np.array([compare_sets(*pair) for pair in zip(read, gold, strict=True)], dtype=np.int64).reshape(-1, 3)
    first = [types[:1] == wanted[:1] for types, wanted in zip(read, gold, strict=True) if wanted]
    accuracy = round(sum(first) / len(first), 4) if first else 0.0
    return {"set": _row(counts), "first": {"accuracy": accuracy, "support": len(first)}}


def confusion(judged: Iterable[Judged]) -> dict[str, dict[str, int]]:
    """For each gold label what was predicted on the span; for what is no gold span, under "nothing", what was."""
    table: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in judged:
        predicted = {(e.start, e.end): e.label for e in item.predicted}
        gold = {(e.start, e.end) for e in item.gold}
        for entity in item.gold:
            found = predicted.get((entity.start, entity.end))
            touched = any(
                e.start < entity.end and entity.start < e.end and e.label == entity.label for e in item.predicted
            )
            table[entity.label][found or ("other borders" if touched else "nothing")] += 1
        for span, label in predicted.items():
            if span not in gold:
                table["nothing"][label] += 1
    return {label: dict(sorted(counts.items())) for label, counts in sorted(table.items())}


# ── slices ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_DAMAGE = re.compile(
    f"\ufffd|(?<=[{HAN}])\\?(?=[{HAN}])|(?<=[{HAN}]),(?=[{HAN}])|(?<=[{HAN}])\\([a-zà-ǜ]{{1,6}}\\)(?=[{HAN}])"
)


def is_damaged(text: str) -> bool:
    """Two or more signs of a scraper: half-width commas between ideographs, lost characters, bracketed pinyin."""
    return len(_DAMAGE.findall(text)) >= 2


def is_traditional(text: str) -> bool:
    """More than one ideograph in twenty is simplified by the normalization (in Traditional pages about a third is)."""
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


def slices(judged: Sequence[Judged], seen: dict[str, set[str]]) -> dict[str, Any]:
    """Span scores of parts of the data. `seen`: the mentions of each label in the training data."""
    table: dict[str, Any] = {}
    for name, belongs in _DOCUMENT_SLICES.items():
        part = [item for item in judged if belongs(item.example.text)]
        if part:
            table[name] = {"documents": len(part), **_row(span_counts(part))}
    filters: dict[str, Filter] = {"sentences of five persons and more": _in_roster}
    for label in ("PER", "ORG"):
        if seen.get(label):
            filters[f"{label} never seen in training"] = lambda _, e, label=label: (
                e.label == label and e.text not in seen[label]
            )  # type: ignore[misc]
    for name, keep in filters.items():
        table[name] = {"documents": len(judged), **_row(span_counts(judged, keep))}
    return table


# ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _row(counts: Counts, samples: int = 0, seed: int = 0) -> dict[str, Any]:
    row: dict[str, Any] = {key: round(value, 4) for key, value in asdict(score_of(counts)).items()}
    if samples:
        row["f1_low"], row["f1_high"] = (round(bound, 4) for bound in bootstrap_interval(counts, samples, seed))
    return row


def evaluate(judged: Sequence[Judged], seen: dict[str, set[str]], samples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """The report of one data set, as the module's docstring lays it out."""
    annotated = frozenset().union(*(item.example.annotated for item in judged))
    spans: dict[str, Counts] = {MICRO: span_counts(judged)}
    for label in LABELS:
        if label in annotated:
            spans[label] = span_counts(judged, lambda _, entity, label=label: entity.label == label)  # type: ignore[misc]
    report: dict[str, Any] = {
        "documents": len(judged),
        "characters": sum(len(item.example.text) for item in judged),
        "failures": [item.failure.message for item in judged if item.failure],
    }
    if any(map(event_type, annotated)):
        is_event: Filter = lambda _, entity: event_type(entity.label) is not None  # noqa: E731
        spans[EVENTS] = span_counts(judged, is_event)
        spans[EVENTS_UNTYPED] = span_counts(judged, is_event, untyped=True)
        report["event_types"] = event_type_scores(judged)
    report["spans"] = {name: _row(counts, samples, seed) for name, counts in spans.items()}
    if any(item.example.roles for item in judged):
        report["roles"] = {name: _row(counts, samples, seed) for name, counts in role_counts(judged).items()}
    report["slices"] = slices(judged, seen)
    report["confusion"] = confusion(judged)
    return report


def read_data(argument: str) -> list[Example]:
    """The examples of one DATA argument; what could not be read is reported on standard error."""
    head, colon, tail = argument.partition(":")
    name, path = (head, tail) if colon and head in FORMATS else ("markup", argument)
    examples, report = read_source(name, Path(path))
    if report.skipped:
        print(report, file=sys.stderr)
    return examples


def print_report(name: str, report: dict[str, Any], console: Console) -> None:
    console.print(f"\n[bold]{name}[/]: {report['documents']:,} documents, {report['characters']:,} characters")
    for section in ("spans", "roles", "slices"):
        table = Table(section, "precision", "recall", "F1", "95 %", "gold", box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for key, row in report.get(section, {}).items():
            interval = f"{row['f1_low']:.3f}–{row['f1_high']:.3f}" if "f1_low" in row else ""
            numbers = (f"{row[part]:.3f}" for part in ("precision", "recall", "f1"))
            table.add_row(key, *numbers, interval, f"{row['support']:,}")
        if table.row_count:
            console.print(table)
    if "event_types" in report:
        types = report["event_types"]
        console.print(
            f"event types of the document: F1 {types['set']['f1']:.3f}, most salient right {types['first']['accuracy']:.3f}"
        )
    for message in report["failures"]:
        console.print(f"failed: {message}", markup=False)


def worst_documents(judged: Sequence[Judged], count: int = 20) -> str:
    """A page of the documents with the most wrong spans, gold and predicted side by side."""

    def wrong(item: Judged) -> int:
        return len({_key(e) for e in item.gold} ^ {_key(e) for e in item.predicted})

    parts = [
        PAGE_HEAD,
        "<style>main{max-width:110rem}.pair{display:grid;grid-template-columns:1fr 1fr;gap:1.5rem}</style>",
    ]
    for item in sorted(judged, key=wrong, reverse=True)[:count]:
        gold, predicted = ({_key(e) for e in entities} for entities in (item.gold, item.predicted))
        parts.append(f"<article><h2>{escaped(item.example.id)}: {wrong(item)} spans differ</h2><div class='pair'>")
        for title, entities, other in (("gold", item.gold, predicted), ("predicted", item.predicted, gold)):
            differing = [entity for entity in entities if _key(entity) not in other]
            named = "、".join(f"{entity.text} {entity.label}" for entity in differing) or "none"
            text = marked_text(item.example.text, entities)
            parts.append(f"<section><h2>{title}; only here: {escaped(named)}</h2>{text}</section>")
        parts.append("</div></article>\n")
    return "".join([*parts, "</main></body></html>\n"])


def seen_mentions(arguments: Sequence[str]) -> dict[str, set[str]]:
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for argument in arguments:
        for example in read_data(argument):
            for entity in example.entities:
                seen[entity.label].add(entity.text)
    return seen


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder, Hub id, or default")
    parser.add_argument("data", nargs="+", help="markup folder or file, or FORMAT:PATH")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the twenty worst documents")
    parser.add_argument("--train-data", nargs="+", default=[], metavar="DATA", help="what the model was trained on")
    parser.add_argument("--compare", metavar="MODEL", help="another model: p that MODEL is not better than it")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--bootstrap", type=int, default=1000, metavar="N", help="resampled sets (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    def load(name: str) -> Extractor:
        return Extractor.from_pretrained(
            None if name == "default" else name, device=options.device, dtype=options.dtype
        )

    try:
        extractor = load(options.model)
        seen = seen_mentions(options.train_data)
        sets = {argument: read_data(argument) for argument in options.data}
        other = load(options.compare) if options.compare else None
    except (ExtractorError, SourceError) as error:
        print(error, file=sys.stderr)
        return 2
    import torch
    import transformers

    report: dict[str, Any] = {
        "model": extractor.model_name,
        "settings": {
            "device": extractor.model.device, "dtype": options.dtype, "bootstrap": options.bootstrap, "seed": options.seed,
        },
        "versions": {"renshi": renshi.__version__, "torch": torch.__version__, "transformers": transformers.__version__},
        "sets": {},
    }  # fmt: skip
    console = Console(width=100)
    everything: list[Judged] = []
    for argument, examples in sets.items():
        judged = judge(extractor, examples)
        everything += judged
        name = "/".join(Path(argument.split(":")[-1]).parts[-2:])
        report["sets"][name] = evaluate(judged, seen, options.bootstrap, options.seed)
        if other:
            theirs = span_counts(judge(other, examples))
            report["sets"][name]["p_not_better"] = p = paired_bootstrap(
                span_counts(judged), theirs, options.bootstrap, options.seed
            )
            console.print(
                f"{name}: F1 {score_of(theirs).f1:.4f} by {options.compare}; p that ours is not better: {p:.3f}"
            )
        print_report(name, report["sets"][name], console)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(
            json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    if options.html:
        options.html.write_text(worst_documents(everything), encoding="utf-8")
    return 1 if any(item.failure for item in everything) else 0


if __name__ == "__main__":
    raise SystemExit(main())
