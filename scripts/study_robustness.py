"""How much a model loses where a page is Traditional or damaged: the same pages, clean and changed.

    python -m scripts.study_robustness ROOT/annotated/real/dev data/original/test … [--model MODEL] [--json FILE]

Of each set those pages that are Simplified and clean are read as they are, in Traditional characters (by OpenCC, as one of
Taiwan, Hong Kong or neither), and with each of `training.augment.DAMAGES`, and all of these at once; the annotation goes
along. Strict micro F1 end to end, and "lost", what it is less than on the clean page, with the 95 % interval of the
difference by bootstrap over documents. The slices of `training.evaluate` compare other pages with one another; here the
pages are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from renshi import Extractor
from renshi.model import Model
from training.augment import DAMAGES, Edit, rewrite, to_traditional
from training.evaluate import is_damaged, is_traditional, judge, span_counts
from training.metrics import Counts, difference_interval, score_of
from training.sources import Example
from training.studies import run_study

Change = Callable[[Example, Random], Iterator[Edit]]


def changed(examples: Sequence[Example], changes: Sequence[Change]) -> list[Example]:
    """The examples with each change made, one after another. The choices follow from an example's id."""
    found = []
    for example in examples:
        random = Random(example.id)
        for change in changes:
            example = rewrite(example, change(example, random))
        found.append(example)
    return found


def lost(clean: Counts, other: Counts) -> dict[str, float]:
    """F1 of the second (documents, 3) counts, and how much less it is than that of the first."""
    low, high = difference_interval(other, clean)
    return {
        "f1": round(score_of(other).f1, 4),
        "lost": round(score_of(clean).f1 - score_of(other).f1, 4),
        "low": round(low, 4),
        "high": round(high, 4),
    }


def study(model: Model, examples: Sequence[Example]) -> dict[str, Any]:
    """The report on one set."""
    extractor = Extractor(model)
    plain = [e for e in examples if not (is_traditional(e.text) or is_damaged(e.text))]
    if not plain:
        return {"documents": 0}  # nothing to change
    kinds: Mapping[str, Sequence[Change]] = {
        "Traditional": [to_traditional],
        **{name: [change] for name, change in DAMAGES.items()},
        "all damages": list(DAMAGES.values()),
    }
    clean = span_counts(judge(extractor, plain))
    return {
        "documents": len(plain),
        "clean": round(score_of(clean).f1, 4),
        **{name: lost(clean, span_counts(judge(extractor, changed(plain, kind)))) for name, kind in kinds.items()},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    return run_study(__doc__, study, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
