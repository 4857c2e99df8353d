"""Fine-tune and score on public sets under everybody's protocol: each set alone, its own labels, its official splits.

    python -m training.benchmark configs/benchmarks/cluener.toml
    python -m training.benchmark configs/benchmarks/*.toml --json results/benchmarks.json

Every seed of a config is a run of its own, in `seed-0/`, `seed-1/` … under the config's output: `model/`, `config.toml`,
`predictions.jsonl` (text and spans of the test set) and, last, `result.json`. A killed run goes on from its last
checkpoint when the command is given again, a finished seed is not repeated, and one that another process is at is left
to it. The JSON, by each config's `name`:

    {name: {"micro_f1", "macro_f1": means over the seeds, "sd": of micro F1; null where there are too few,
            "seeds": how many were run, "incomplete": "0 of 3 seeds", only where it is so,
            "per_label": {label: {"precision", "recall", "f1": means, "support"}},
            "encoder", "parameters"}}

F1 is strict: a span is right where both borders, in the text as the set has it, and the label are. Exit status 1 where
a set has fewer seeds than its config asks for (such as under `--collect`), 2 where nothing could be run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from renshi.records import Entity
from training.config import ConfigError, load_config
from training.evaluate import Judged, judge, span_counts
from training.metrics import score_of, span_of
from training.runs import RunError, begin, claimed, finish, finished, write_json
from training.sources import SOURCES, Example, SourceError, read_source
from training.train import Source, TrainConfig, fit

__all__ = ["BenchmarkConfig", "Splits", "read_splits", "run_seed", "score", "summarize"]


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig(TrainConfig):
    """Fine-tuning on one public set with its own labels, several times, and what it is scored on."""

    required: ClassVar[tuple[str, ...]] = ("train", "test")

    name: str
    """What the results are called: set and split."""
    test: tuple[Source, ...]
    dev: tuple[Source, ...] = ()
    """What the checkpoint is chosen on. Where the set has none, or is scored on it, a part of train: `held_out`."""
    held_out: float = 0.0
    """The share of the training texts that is held out in the place of `dev`; the same for every seed."""
    seeds: tuple[int, ...] = (0, 1, 2)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        formats = sorted({source.format for source in (*self.train, *self.dev, *self.test)})
        if len(formats) > 1:
            yield f"train, dev, test: are of {', '.join(formats)}; a benchmark is of one set, with its own labels"
        if not 0 <= self.held_out < 1:
            yield f"held_out: {self.held_out} is not between 0 and 1"
        elif bool(self.dev) == bool(self.held_out):
            yield f"held_out: is {self.held_out} {'beside' if self.dev else 'without'} [[dev]]; give one of the two"
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            yield f"seeds: {list(self.seeds)} are not one or more different numbers"

    def of_seed(self, seed: int) -> BenchmarkConfig:
        """The run of one seed."""
        return replace(self, seed=seed, seeds=(seed,), output=f"{self.output}/seed-{seed}")

    @property
    def labels(self) -> tuple[str, ...]:
        """The set's own labels."""
        return SOURCES[self.test[0].format].own_labels


@dataclass(frozen=True, slots=True)
class Splits:
    """The examples of each training source, those that the checkpoint is chosen on, and those that are scored."""

    train: list[list[Example]]
    dev: list[Example]
    test: list[Example]


def read_splits(config: BenchmarkConfig) -> Splits:
    """The set's texts with its own labels; what could not be read is reported on standard error. Raises SourceError."""

    def read(sources: Sequence[Source]) -> Iterator[list[Example]]:
        for source in sources:
            path = Path(source.path.replace("{data_root}", config.data_root))
            examples, report = read_source(source.format, path, own_labels=True)
            print(report, file=sys.stderr)
            yield examples

    train = list(read(config.train))
    dev, test = (list(chain.from_iterable(read(sources))) for sources in (config.dev, config.test))
    if config.held_out:
        pairs = [_hold_out(examples, config.held_out) for examples in train]
        train, dev = [rest for rest, _ in pairs], [example for _, held in pairs for example in held]
    return Splits(train, dev, test)


def _hold_out(examples: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """The examples without a random share of the texts, and that share. A text that occurs twice stays in one part."""
    texts = list(dict.fromkeys(example.text for example in examples))
    chosen = np.random.default_rng(0).permutation(len(texts))[: max(1, round(share * len(texts)))]
    held = {texts[index] for index in chosen}
    return [e for e in examples if e.text not in held], [e for e in examples if e.text in held]


def _bears(label: str, _: Judged, entity: Entity) -> bool:
    return entity.label == label


def score(judged: Sequence[Judged], labels: Sequence[str]) -> dict[str, Any]:
    """Strict scores: over all spans, of each label, and the mean F1 of the labels that the annotation or the model has."""
    per_label = {label: span_counts(judged, partial(_bears, label)) for label in labels}
    scores = {label: asdict(score_of(counts)) for label, counts in per_label.items() if counts.any()}
    return {
        "micro": asdict(score_of(span_counts(judged))),
        "macro_f1": statistics.fmean(row["f1"] for row in scores.values()) if scores else 0.0,
        "per_label": scores,
    }


def run_seed(config: BenchmarkConfig) -> dict[str, Any]:
    """Train one seed, or go on with it, and score it; the result of a finished one is read.

    Raises:
        RunError: The folder holds a run with other values.
        SourceError, OSError: Data or a base model that is not there.
    """
    if result := finished(config):
        return result
    splits = read_splits(config)
    output = begin(config)
    began = time.monotonic()
    trainer, tokenizer = fit(config, splits.train, splits.dev, config.labels)
    seconds = time.monotonic() - began
    model: Any = trainer.model
    model.save_pretrained(output / "model")
    tokenizer.save_pretrained(output / "model")
    judged = judge(trainer.reader, splits.test)
    _write_predictions(judged, output / "predictions.jsonl")
    result = {
        "name": config.name,
        "seed": config.seed,
        **score(judged, config.labels),
        "chosen_on": {"texts": len(splits.dev), "micro_f1": trainer.state.best_metric},
        "steps": {"chosen": trainer.state.best_global_step, "run": trainer.state.global_step},
        "seconds_since_last_start": round(seconds),
        "encoder": config.base_model,
        "parameters": model.num_parameters(),
    }
    finish(config, result)
    shutil.rmtree(output / "checkpoints", ignore_errors=True)  # eight times the model, and of no more use
    return result


def _write_predictions(judged: Iterable[Judged], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for item in judged:
            row = {
                "id": item.example.id,
                "text": item.example.text,
                "gold": [span_of(entity) for entity in item.gold],
                "predicted": [span_of(entity) for entity in item.predicted],
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def summarize(config: BenchmarkConfig, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One set's entry of the JSON; what cannot be said without a finished seed is null."""

    def mean(values: Iterable[float]) -> float | None:
        some = list(values)
        return round(statistics.fmean(some), 4) if some else None

    micro = [result["micro"]["f1"] for result in results]
    nothing = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}  # a label that is neither there nor predicted
    labels = [label for label in config.labels if any(label in result["per_label"] for result in results)]
    rows = {label: [result["per_label"].get(label, nothing) for result in results] for label in labels}
    summary: dict[str, Any] = {
        "micro_f1": mean(micro),
        "macro_f1": mean(result["macro_f1"] for result in results),
        "sd": round(statistics.stdev(micro), 4) if len(micro) > 1 else None,
        "seeds": len(results),
        "per_label": {
            label: {key: mean(row[key] for row in some) for key in ("precision", "recall", "f1")}
            | {"support": max(row["support"] for row in some)}
            for label, some in rows.items()
        },
        "encoder": config.base_model,
        "parameters": results[0]["parameters"] if results else None,
    }
    if len(results) < len(config.seeds):
        summary["incomplete"] = f"{len(results)} of {len(config.seeds)} seeds"
    return summary


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", metavar="CONFIG|key=value", help="TOML files; keys to set in all of them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results of these configs")
    parser.add_argument("--collect", action="store_true", help="train nothing: take the seeds that are finished")
    return parser.parse_intermixed_args(arguments)  # key=value may stand behind an option


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    overrides = [argument for argument in options.configs if "=" in argument]
    try:
        configs = [load_config(BenchmarkConfig, Path(a), overrides) for a in options.configs if a not in overrides]
        summaries: dict[str, Any] = {}
        missing = 0
        for config in configs:
            for seed in () if options.collect else config.seeds:
                with claimed(config.of_seed(seed)) as is_ours:
                    if is_ours:
                        run_seed(config.of_seed(seed))
                    else:
                        print(f"{config.name}, seed {seed}: another process is at it", file=sys.stderr)
            results = [result for seed in config.seeds if (result := finished(config.of_seed(seed)))]
            missing += len(config.seeds) - len(results)
            summaries[config.name] = summary = summarize(config, results)
            print(f"{config.name}: micro F1 {summary['micro_f1']} ± {summary['sd']}, macro {summary['macro_f1']}, "
                  f"{len(results)} of {len(config.seeds)} seeds")  # fmt: skip
            if options.json:
                write_json(options.json, summaries)
    except (ConfigError, RunError, SourceError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
