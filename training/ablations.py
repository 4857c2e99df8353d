"""What each choice of a fine-tuning run is worth: variants of one config, several seeds each, compared with the base.

    python -m training.ablations configs/ablations.toml

A variant is a table of keys that differ from the base config; a run is one variant with one seed, kept in
``VARIANT/seed-N`` under `output`. A killed run goes on from its last checkpoint when the command is given again, and a
finished one is not repeated. Every variant's first seed is run before any second one. The same command in several
processes shares the runs out: each leaves alone what another one is at. After each run the file `results` is written anew
from all that are finished:

    {"base", "common": the config and what all variants differ in from it, "scored_on": [FORMAT:PATH], "documents",
     "variants": {"base" | name: {"overrides", "micro_f1": mean, "sd": null for one seed, "scores": {seed: micro F1},
                                  "seeds": how many were run, "incomplete": "1 of 3 seeds", only where it is so,
                                  "difference": mean over the seeds that both have, "p"}}}     the last two not for "base"

Scores are strict micro F1, end to end, as `training.evaluate` has them. p is for "better than the base": over resampled
documents, each with its counts of all the seeds that both have (`metrics.paired_bootstrap`). It says nothing of other
seeds, and with many variants some will look better by chance. Exit status 1 where runs were left to another process and
are not finished yet, 2 where something could not be run.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from renshi.extractor import Extractor
from training.config import ConfigError, load_config, main_config
from training.evaluate import judge, span_counts
from training.metrics import Counts, paired_bootstrap, score_of
from training.runs import RunError, claimed, finish, finished, locked, write_json
from training.sources import Example, SourceError
from training.train import DATA_KEYS, Source, TrainConfig, TrainingData, prepare, read_sources, train

__all__ = ["AblationConfig", "compare", "main", "run", "variant_configs"]

BASE = "base"


@dataclass(frozen=True, kw_only=True)
class AblationConfig:
    """Variants of one config. A path in `score_on` may begin with the base config's ``{data_root}``."""

    base: str
    """The file of the base config."""
    output: str
    results: str
    score_on: tuple[Source, ...]
    variants: dict[str, dict[str, Any]]
    """The name of each variant to its keys; a value takes the whole place of the base config's, lists too."""
    common: dict[str, Any] = field(default_factory=dict)
    """Keys in which all differ from the file, the base's own runs too: fewer steps, another data_root."""
    seeds: tuple[int, ...] = (0, 1, 2)

    def problems(self) -> Iterator[str]:
        if not self.score_on:
            yield "score_on: names no source; add a table [[score_on]] with format and path"
        if not self.variants:
            yield "variants: names none; add a table [variants.NAME] with keys of the base config"
        for name in self.variants:
            if name == BASE or not re.fullmatch(r"\w[\w.-]*", name):
                yield f"variants.{name}: is no name for a folder beside {BASE}; letters, digits, - . _ make one"
            for key in {"seed", "output"} & (self.variants[name].keys() | self.common.keys()):
                yield f"variants.{name}.{key}: is set for each run; leave it out"
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            yield f"seeds: {list(self.seeds)} are not one or more different numbers"


def variant_configs(config: AblationConfig) -> dict[str, TrainConfig]:
    """The fine-tuning config of each variant, the base first. Raises `ConfigError` with the problems of all of them."""
    found, problems = {}, []
    for name, overrides in {BASE: {}, **config.variants}.items():
        try:
            found[name] = load_config(TrainConfig, Path(config.base), values=config.common | overrides)
        except ConfigError as error:
            problems += [f"variant {name}: {line}" for line in str(error).split("\n")]
    if problems:
        raise ConfigError("\n".join(problems))
    return found


class _Prepared:
    """`training.train.prepare` that keeps the last two training data: most variants learn otherwise from the same."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], TrainingData] = {}

    def __call__(self, config: TrainConfig, *arguments: Any) -> TrainingData:
        key = tuple(getattr(config, name) for name in DATA_KEYS)
        data = self._kept.pop(key) if key in self._kept else prepare(config, *arguments)
        self._kept[key] = data  # behind the others: the first is the one that was not asked for longest
        if len(self._kept) > 2:
            del self._kept[next(iter(self._kept))]
        return data


def run(
    config: TrainConfig, examples: Sequence[Example], prepare: Callable[..., TrainingData] = prepare
) -> dict[str, Any]:
    """Train one variant with one seed, or go on with it, and count on the examples; of a finished one, read the counts.

    Raises:
        RunError: The folder holds a run with other values.
        SourceError, OSError: Data or a base model that is not there.
    """
    if result := finished(config):
        return result
    folder = train(config, prepare)
    counts = span_counts(judge(Extractor.from_pretrained(folder), examples))
    result = {"micro_f1": score_of(counts).f1, "documents": [e.id for e in examples], "counts": counts.tolist()}
    finish(config, result)
    return result


def compare(config: AblationConfig, results: dict[str, dict[int, dict[str, Any]]]) -> dict[str, Any]:
    """The variants' entries in the results, from what their seeds that are finished gave."""
    entries: dict[str, Any] = {}
    for name, of_seed in results.items():
        scores = {seed: result["micro_f1"] for seed, result in of_seed.items()}
        if not scores:
            continue
        entry: dict[str, Any] = {
            "overrides": config.variants.get(name, {}),
            "micro_f1": round(statistics.fmean(scores.values()), 4),
            "sd": round(statistics.stdev(scores.values()), 4) if len(scores) > 1 else None,
            "scores": {str(seed): round(score, 4) for seed, score in scores.items()},
            "seeds": len(scores),
        }
        if len(scores) < len(config.seeds):
            entry["incomplete"] = f"{len(scores)} of {len(config.seeds)} seeds"
        both = [seed for seed in of_seed if seed in results[BASE]]
        if name != BASE and both:
            pairs = [(results[BASE][seed], of_seed[seed]) for seed in both]
            entry["difference"] = round(statistics.fmean(b["micro_f1"] - a["micro_f1"] for a, b in pairs), 4)
            entry["p"] = round(paired_bootstrap(_sum(a for a, _ in pairs), _sum(b for _, b in pairs)), 4)
        entries[name] = entry
    return entries


def _sum(results: Iterator[dict[str, Any]]) -> Counts:
    """(documents, 3) counts of several seeds together."""
    total: Counts = np.sum([np.array(result["counts"], dtype=np.int64).reshape(-1, 3) for result in results], axis=0)
    return total


def _write_report(config: AblationConfig, runs: dict[tuple[str, int], TrainConfig], documents: int) -> int:
    """Write the results from all the runs that are finished, by whichever process; returns how many are not."""
    with locked(Path(config.output)):  # else one that read earlier could write later
        results: dict[str, dict[int, dict[str, Any]]] = {name: {} for name, _ in runs}
        for (name, seed), one in runs.items():
            if (Path(one.output) / "result.json").exists() and (result := finished(one)):
                results[name][seed] = result
        report = {
            "base": config.base,
            "common": config.common,
            "scored_on": [f"{source.format}:{source.path}" for source in config.score_on],
            "documents": documents,
            "variants": compare(config, results),
        }
        write_json(Path(config.results), report)
    return len(runs) - sum(map(len, results.values()))


def main(arguments: Sequence[str] | None = None) -> int:
    config = main_config(AblationConfig, __doc__, arguments)
    try:
        variants = variant_configs(config)
        data_root = variants[BASE].data_root
        examples = [example for part in read_sources(config.score_on, data_root) for example in part]
        runs = {
            (name, seed): replace(variant, seed=seed, output=f"{config.output}/{name}/seed-{seed}")
            for seed in config.seeds
            for name, variant in variants.items()
        }
        missing, prepared = len(runs), _Prepared()
        for (name, seed), one in runs.items():
            with claimed(one) as is_ours:
                if not is_ours:
                    print(f"{name}, seed {seed}: another process is at it", file=sys.stderr)
                    continue
                result = run(one, examples, prepared)
            missing = _write_report(config, runs, len(examples))
            print(f"{name}, seed {seed}: micro F1 {result['micro_f1']:.4f}", flush=True)
    except (ConfigError, RunError, SourceError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if missing:
        print(f"{missing} of {len(runs)} runs are not finished; other processes are at them", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
