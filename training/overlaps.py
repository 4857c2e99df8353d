"""How much of each benchmark's test stands, word for word, in what may be trained on.

    python -m training.overlaps configs/benchmarks/*.toml [--start CONFIG] [--corpora FILE…] [--json FILE]

Texts are compared as the model reads them (`renshi.text.normalize`) and without white space. For each test the JSON has

    {name: {"texts", "repeated": those that stand in the test before,
            "in": {"NAME train" | "NAME dev" | "NAME test" | "start" | "corpora": {"texts", "by_sentence"}}}}

"start" are the training texts of the model that the benchmarks start from, by its own config.

"texts" are the test's texts that are also there; "by_sentence" those that have sentences of ten characters and more,
each of which is there, wherever it stands. (A short one, such as `图为会场`, is written by many, and sets cut lines
differently.) What has neither is left out.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from renshi.text import normalize
from training.benchmark import BenchmarkConfig
from training.config import load_config
from training.corpora import paragraphs
from training.sources import read_native
from training.train import Source, TrainConfig

__all__ = ["count_overlaps", "main", "sentences"]

LONG = 10  # characters
_SENTENCE_END = re.compile(r"[。！？；!?;\n]+")
_SPACE = re.compile(r"\s+")


def plain(text: str) -> str:
    """The text as it is compared."""
    return _SPACE.sub("", normalize(text).text)


def sentences(text: str) -> Iterator[str]:
    """The long sentences of a text, as they are compared."""
    return (part for part in map(plain, _SENTENCE_END.split(text)) if len(part) >= LONG)


def read_texts(config: TrainConfig, sources: Sequence[Source]) -> list[str]:
    """The raw texts of some sources. Raises SourceError."""
    paths = ((source.format, Path(source.path.replace("{data_root}", config.data_root))) for source in sources)
    return [text for name, path in paths for text, _ in read_native(name, path)[0]]


def count_overlaps(
    tests: Mapping[str, Sequence[str]], parts: Mapping[str, Sequence[str]], corpora: Iterable[str] = ()
) -> dict[str, Any]:
    """The report of the module's docstring.

    Args:
        tests: Each test's name and texts.
        parts: The names and texts of what they are looked for in; a part that is called as a test and " test" is not
            looked for in itself.
        corpora: Paragraphs, read once; of them only sentences are looked for.
    """
    whole = {name: set(map(plain, texts)) for name, texts in parts.items()} | {"corpora": set[str]()}
    wanted = {sentence for texts in tests.values() for text in texts for sentence in sentences(text)}
    pieces = {
        name: {sentence for text in texts for sentence in sentences(text) if sentence in wanted}
        for name, texts in chain(parts.items(), [("corpora", corpora)])
    }
    report: dict[str, Any] = {}
    for name, texts in tests.items():
        mine = [(plain(text), set(sentences(text))) for text in texts]
        counts = {
            part: {
                "texts": sum(text in whole[part] for text, _ in mine),
                "by_sentence": sum(bool(long) and long <= pieces[part] for _, long in mine),
            }
            for part in whole
            if part != f"{name} test"
        }
        report[name] = {
            "texts": len(mine),
            "repeated": len(mine) - len({text for text, _ in mine}),
            "in": {part: row for part, row in counts.items() if any(row.values())},
        }
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", type=Path, metavar="CONFIG", help="files of configs/benchmarks/")
    parser.add_argument("--start", type=Path, metavar="CONFIG", help="the fine-tuning config of their base model")
    parser.add_argument("--corpora", nargs="+", default=[], type=Path, metavar="FILE", help="what an encoder read")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report")
    options = parser.parse_args(arguments)
    try:
        configs = [load_config(BenchmarkConfig, path) for path in options.configs]
        tests = {config.name: read_texts(config, config.test) for config in configs}
        parts = {
            f"{config.name} {part}": read_texts(config, getattr(config, part))
            for config in configs
            for part in ("train", "dev", "test")
        }
        if options.start:
            start = load_config(TrainConfig, options.start)
            parts["start"] = read_texts(start, start.train)
        lines = (line for path in options.corpora for line in paragraphs(path))
        report = count_overlaps(tests, parts, lines)
    except (ValueError, OSError) as error:  # a ConfigError, a SourceError, a damaged corpus
        print(error, file=sys.stderr)
        return 2
    for name, row in report.items():
        print(f"{name}: {row['texts']:,} texts, {row['repeated']:,} of them repeated")
        for part, counts in row["in"].items():
            print(f"  {part}: {counts['texts']:,} texts, {counts['by_sentence']:,} by sentence")
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
