"""What is known of a page beside the network's answers, what it brings, and what its constants do.

    python -m scripts.study_reading ROOT/annotated/real/dev data/original/test … [--model MODEL] [--json FILE]

The network reads once; the rest is done for each choice. Strict micro F1 end to end: with all (`all`), with none of it
(`none`), and without each part: line feeds and single characters (`renshi.priors`), pairs of marks (`renshi.borders`), ends
of columns (`renshi.columns`), and names that the document has elsewhere (`renshi.repeats`); p is for "better with it" by
paired bootstrap over documents. Of the mentions that are there with repeats and not without, how many are right, beside the
mean of their scores. The constants were chosen on the first of the two sets above.

It reads anew without what changes the text (`text`): broken lines (`renshi.lines`) and rosters (`renshi.rosters`); and in
windows of other lengths (`windows`), which tells what it makes of a longer context.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from renshi import extractor, priors, repeats, text
from renshi.model import Model
from training.calibrate import Remembering
from training.evaluate import Judged, judge, span_counts
from training.metrics import paired_bootstrap, score_of, span_of
from training.sources import Example
from training.studies import run_study

KNOWN, LEAST = (0.55, 0.7, 0.8, 0.9), (0.005, 0.02, 0.05, 0.1, 0.2)
WINDOWS = (128, 192, 256, 384, 512)
"""Tokens. Those that are longer than the model's are left out."""
LOWERED = (0.0, 1.0, 2.0, 3.0, 4.0, 8.0)


def _as_they_are(_: str, entities: Sequence[Any], *__: Any) -> list[Any]:
    return list(entities)


Change = tuple[Any, str, Any]
"""A module, a name in it, and another value for it."""

PARTS: dict[str, Change] = {
    "line_feeds": (priors, "_LINE_FEED", 0.0),
    "single_characters": (priors, "_SINGLE", 0.0),
    "marks": (extractor, "pair_marks", _as_they_are),
    "columns": (extractor, "cut_at_columns", _as_they_are),
    "repeats": (extractor, "find_repeats", _as_they_are),
}
"""Of each part what turns it off."""
TEXT: dict[str, Change] = {
    "broken_lines": (text, "broken_lines", lambda *_: ()),
    "rosters": (text, "separators", lambda *_: {}),
}


@contextmanager
def changed(changes: Sequence[Change]) -> Iterator[None]:
    """The modules' names have other values within."""
    before = [getattr(module, name) for module, name, _ in changes]
    try:
        for module, name, value in changes:
            setattr(module, name, value)
        yield
    finally:
        for (module, name, _), value in zip(changes, before, strict=True):
            setattr(module, name, value)


def study(model: Model, examples: Sequence[Example]) -> dict[str, Any]:
    """The report on one set."""
    remembering = Remembering(model)

    def read(*changes: Change) -> list[Judged]:
        with changed(changes):
            return judge(remembering.again(model.calibration), examples)

    def read_anew(*changes: Change, max_tokens: int = model.max_tokens) -> list[Judged]:
        fresh = Remembering(model)
        fresh.max_tokens = max_tokens
        with changed(changes):
            return judge(fresh.again(model.calibration), examples)

    def f1(judged: Sequence[Judged]) -> float:
        return round(score_of(span_counts(judged)).f1, 4)

    everything = read()
    counts = span_counts(everything)

    def without(judged: Sequence[Judged]) -> dict[str, float]:
        less = span_counts(judged)
        return {"f1": f1(judged), "p": round(paired_bootstrap(less, counts), 4)}

    added = list(_added(read(PARTS["repeats"]), everything))
    return {
        "documents": len(examples),
        "all": round(score_of(counts).f1, 4),
        "none": without(read(*PARTS.values())),
        "without": {name: without(read(change)) for name, change in PARTS.items()},
        "text": {name: without(read_anew(change)) for name, change in TEXT.items()},
        "windows": {str(size): f1(read_anew(max_tokens=size)) for size in WINDOWS if size <= model.max_tokens},
        "added_by_repeats": len(added),
        "of_these_right": _mean(right for _, right in added),
        "their_mean_score": _mean(score for score, _ in added),
        "line_feed": {str(value): f1(read((priors, "_LINE_FEED", value))) for value in LOWERED},
        "single": {str(value): f1(read((priors, "_SINGLE", value))) for value in LOWERED},
        "repeats": {
            f"known {known}, least {least}": f1(read((repeats, "_KNOWN", known), (repeats, "_LEAST", least)))
            for known in KNOWN
            for least in LEAST
        },
    }


def _added(before: Sequence[Judged], now: Sequence[Judged]) -> Iterator[tuple[float, bool]]:
    """The score of each entity that is only in the second reading, and whether it is right."""
    for one, other in zip(before, now, strict=True):
        there, gold = set(map(span_of, one.predicted)), set(map(span_of, other.gold))
        yield from ((e.score, span_of(e) in gold) for e in other.predicted if span_of(e) not in there)


def _mean(values: Iterator[float] | Iterator[bool]) -> float | None:
    found = list(values)
    return round(statistics.fmean(found), 4) if found else None


def main(arguments: Sequence[str] | None = None) -> int:
    return run_study(__doc__, study, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
