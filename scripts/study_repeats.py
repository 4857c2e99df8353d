"""What `renshi.repeats` brings, and what its two constants do: the network reads once, the rest is done for each pair.

    python -m scripts.study_repeats ROOT/annotated/real/dev data/original/test [--model MODEL] [--json FILE]

Strict micro F1 end to end, with p for "better with them" by paired bootstrap over documents; and of the mentions that are
there with repeats and not without, how many are right, beside the mean of their scores. The constants were chosen on the
first of the two sets above.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from renshi import Document, Extractor, Failure, Record, repeats
from training.evaluate import Judged, span_counts
from training.metrics import paired_bootstrap, score_of, span_of
from training.runs import write_json
from training.sources import Example, read_source

KNOWN, LEAST = (0.55, 0.7, 0.8, 0.9), (0.005, 0.02, 0.05, 0.1, 0.2)


class Study(Extractor):
    """An extractor whose last step can be done again."""

    def read(self, examples: Sequence[Example]) -> list[tuple[Any, Any, Any]]:
        """What `_finish` takes, of each example."""
        chunks = self._chunks(Document(example.id, example.text) for example in examples)
        return [found for chunk in chunks for found in zip(chunk.items, *self._run(chunk), strict=True)]

    def finish(self, examples: Sequence[Example], found: Sequence[tuple[Any, Any, Any]], use: bool) -> list[Judged]:
        """Records with repeats or without, beside their examples."""
        records = [
            Record(e.id, e.text) if isinstance(item, Failure) else self._finish(item, spans, seen if use else [])
            for e, (item, spans, seen) in zip(examples, found, strict=True)
        ]
        return [Judged(example, record) for example, record in zip(examples, records, strict=True)]


def study(extractor: Study, examples: Sequence[Example]) -> dict[str, Any]:
    """The report on one set."""
    found = extractor.read(examples)
    without = extractor.finish(examples, found, use=False)
    plain = extractor.finish(examples, found, use=True)
    added = [
        (entity.score, span_of(entity) in set(map(span_of, now.gold)))
        for before, now in zip(without, plain, strict=True)
        for entity in now.predicted
        if span_of(entity) not in set(map(span_of, before.predicted))
    ]
    grid = {}
    chosen = repeats._KNOWN, repeats._LEAST
    try:
        for known in KNOWN:
            for least in LEAST:
                repeats._KNOWN, repeats._LEAST = known, least
                f1 = score_of(span_counts(extractor.finish(examples, found, use=True))).f1
                grid[f"known {known}, least {least}"] = round(f1, 4)
    finally:
        repeats._KNOWN, repeats._LEAST = chosen
    return {
        "documents": len(examples),
        "without": round(score_of(span_counts(without)).f1, 4),
        "with": round(score_of(span_counts(plain)).f1, 4),
        "p": round(paired_bootstrap(span_counts(without), span_counts(plain)), 4),
        "added": len(added),
        "right": round(statistics.fmean(right for _, right in added), 4) if added else None,
        "mean_score": round(statistics.fmean(score for score, _ in added), 4) if added else None,
        "grid": grid,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path, help="folders of inline markup")
    parser.add_argument("--model", help="a folder or Hub id; the model in the package is the default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the reports")
    options = parser.parse_args(arguments)
    extractor = Study.from_pretrained(options.model)
    assert isinstance(extractor, Study)
    report = {"/".join(path.parts[-2:]): study(extractor, read_source("markup", path)[0]) for path in options.data}
    print(json.dumps(report, indent=1))
    if options.json:
        write_json(options.json, {"model": extractor.model_name, **report})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
