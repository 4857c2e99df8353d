"""Make scores mean what they say: fit a model's temperature and its least score on annotated text.

    python -m training.calibrate MODEL DATA… [--check DATA…] [--json FILE]

MODEL is a folder or `default` (the model in the package); DATA is what `training.evaluate` takes: the dev set, on which
both numbers are fitted. They are written into the folder's ``config.json`` (``"calibration"``), where `Extractor` finds
them. `--check` names sets that are only measured. The JSON:

    {"model", "calibration": {"temperature", "min_score"},
     "sets": {name: {"fitted": whether on this set,
         "before" | "after": {group: {"ece", "log_loss", "spans", "bins": [{"score", "right", "spans"}]}},
         "thresholds": [{"min_score", "precision", "recall", "f1"}]}}}      after

Groups are "micro", PER, TITLE, ORG and EVENT. The temperature (Guo et al. 2017) has the least log loss of "this span is
right" over the predicted spans; the least score has the best strict micro F1. ECE, the expected calibration error, is
over ten bins of equal width, which "bins" shows: mean score, and share of spans that are right.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renshi.extractor import Extractor
from renshi.model import Calibration, ExtractorError, Model, load_model
from training import models
from training.evaluate import judge, read_data, set_names
from training.metrics import span_of
from training.sources import Example, SourceError

__all__ = ["Remembering", "calibrate", "fit", "measure", "reliability"]

GROUPS = ("micro", "PER", "TITLE", "ORG", "EVENT")
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(20))
BINS = 10


class Remembering:
    """A model that answers the same questions, asked in the same order, from memory: each temperature costs a decoding."""

    def __init__(self, model: Model) -> None:
        self.name, self.tokenizer, self.max_tokens, self.device = (
            model.name, model.tokenizer, model.max_tokens, model.device
        )  # fmt: skip
        self.calibration = Calibration()
        self._model, self._known, self._next = model, list[NDArray[np.float32]](), 0

    def again(self, calibration: Calibration) -> Extractor:
        """An extractor to which the same documents are about to be given once more."""
        self.calibration, self._next = calibration, 0
        return Extractor(self)

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        if self._next == len(self._known):
            self._known.append(self._model.logits(rows, pad_id))
        self._next += 1
        return self._known[self._next - 1]


class Spans:
    """The predicted spans of some examples: (spans,) `score`, `right` and `group` (PER, TITLE, ORG, EVENT), and how many
    spans the annotation has of each group."""

    def __init__(self, extractor: Extractor, examples: Sequence[Example]) -> None:
        rows, self.gold = [], dict.fromkeys(GROUPS, 0)
        for item in judge(extractor, examples):
            gold = {span_of(entity) for entity in item.gold}
            for _, _, label in gold:
                self.gold[_group(label)] += 1
            rows += [(entity.score, span_of(entity) in gold, _group(entity.label)) for entity in item.predicted]
        self.gold["micro"] = sum(self.gold.values())
        self.score = np.array([row[0] for row in rows], dtype=np.float64)
        self.right = np.array([row[1] for row in rows], dtype=bool)
        self.group = np.array([row[2] for row in rows], dtype=object)


def _group(label: str) -> str:
    return label.partition(".")[0]


def log_loss(score: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Mean of −log of the probability that was given to what is the case, in nats; 0 of nothing."""
    if not len(score):
        return 0.0
    score = np.clip(score, 1e-4, 1 - 1e-4)
    return float(-np.mean(np.log(np.where(right, score, 1 - score))))


def reliability(score: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Any]:
    """ECE and log loss of some spans, with the bins that have any."""
    place = np.minimum((score * BINS).astype(int), BINS - 1)
    bins = [(float(score[place == n].mean()), float(right[place == n].mean()), int((place == n).sum()))
            for n in range(BINS) if (place == n).any()]  # fmt: skip
    ece = sum(abs(mean - share) * count for mean, share, count in bins) / max(1, len(score))
    return {
        "ece": round(ece, 4),
        "log_loss": round(log_loss(score, right), 4),
        "spans": len(score),
        "bins": [{"score": round(mean, 4), "right": round(share, 4), "spans": n} for mean, share, n in bins],
    }


def f1_at(spans: Spans, min_score: float) -> dict[str, float]:
    """Strict micro precision, recall and F1 of the spans that score at least `min_score`."""
    kept = spans.score >= min_score
    right, predicted, gold = int(spans.right[kept].sum()), int(kept.sum()), spans.gold["micro"]
    return {
        "min_score": min_score,
        "precision": round(right / max(1, predicted), 4),
        "recall": round(right / max(1, gold), 4),
        "f1": round(2 * right / max(1, predicted + gold), 4),
    }


def fit(model: Model, examples: Sequence[Example]) -> Calibration:
    """The calibration that suits these examples best."""
    remembering = Remembering(model)

    def loss(exponent: float) -> float:
        spans = Spans(remembering.again(Calibration(math.exp(exponent))), examples)
        return log_loss(spans.score, spans.right)

    temperature = round(math.exp(_minimize(loss, math.log(0.5), math.log(4.0))), 3)
    spans = Spans(remembering.again(Calibration(temperature)), examples)
    best = max(THRESHOLDS, key=lambda threshold: f1_at(spans, threshold)["f1"])
    return Calibration(temperature, best)


def _minimize(function: Callable[[float], float], low: float, high: float, steps: int = 10) -> float:
    """Golden-section search for the minimum of a function with one valley."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(steps):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return (low + high) / 2


def measure(model: Model, examples: Sequence[Example], calibration: Calibration) -> dict[str, Any]:
    """Reliability before and after, and what every least score would give."""
    remembering = Remembering(model)
    report: dict[str, Any] = {}
    for name, temperature in (("before", 1.0), ("after", calibration.temperature)):
        spans = Spans(remembering.again(Calibration(temperature)), examples)
        report[name] = {
            group: reliability(spans.score[chosen], spans.right[chosen])
            for group in GROUPS
            if (chosen := (spans.group == group) | (group == "micro")).any()
        }
    report["thresholds"] = [f1_at(spans, threshold) for threshold in THRESHOLDS]
    return report


def calibrate(folder: Path, examples: Sequence[Example], model: Model | None = None) -> Calibration:
    """Fit on the examples and write the result into the folder's ``config.json``."""
    model = model or load_model(folder)
    calibration = fit(model, examples)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"calibration": calibration.to_dict()}
    path.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return calibration


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder, or default")
    parser.add_argument("data", nargs="+", metavar="DATA", help="annotated text to fit on: the dev set")
    parser.add_argument("--check", nargs="+", default=[], metavar="DATA", help="sets that are only measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    options = parser.parse_args(arguments)
    try:
        folder = models.find(options.model)
        names = set_names([*options.data, *options.check])
        sets = [read_data(argument).examples for argument in (*options.data, *options.check)]
        model = load_model(folder)
        fitted = [example for examples in sets[: len(options.data)] for example in examples]
        calibration = calibrate(folder, fitted, model)
        report: dict[str, Any] = {
            "model": models.title(options.model),
            "calibration": calibration.to_dict(),
            "sets": {
                name: {"fitted": number < len(options.data), **measure(model, examples, calibration)}
                for number, (name, examples) in enumerate(zip(names, sets, strict=True))
            },
        }
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    except (ExtractorError, SourceError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"temperature {calibration.temperature}, least score {calibration.min_score}: in {folder / 'config.json'}")
    for name, result in report["sets"].items():
        for group, after in result["after"].items():
            before = result["before"][group]
            print(
                f"{name}, {group}: ECE {before['ece']:.3f} → {after['ece']:.3f}, "
                f"log loss {before['log_loss']:.3f} → {after['log_loss']:.3f}, {after['spans']:,} spans"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
