"""renshi against the plain transformers pipeline: the same model, pages, precision and threads, side by side in one run.

    python scripts/benchmark.py data/original/test [--model FOLDER] [--repetitions 5] [--json FILE]

Both read raw pages to the end. renshi makes whole records (normalization, spans in raw offsets, roles, rosters, event
types); the pipeline (`aggregation_strategy="simple"`, with a stride, so that it truncates nothing) only spans. The
pipeline is timed at several batch sizes and its best is compared. Engines take turns, so that a busy machine hurts all
of them; medians are compared, as ratios.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import transformers
from transformers import pipeline

from renshi import Extractor, Record
from renshi.markup import read_markup
from renshi.model import find_model
from renshi.text import normalize

Engine = Callable[[Sequence[str]], int]
"""Reads pages and returns how many spans it found."""


def read_pages(paths: Sequence[Path]) -> list[str]:
    files = [file for path in paths for file in (sorted(path.glob("*.txt")) if path.is_dir() else [path])]
    return [read_markup(file).text for file in files]


def renshi_engine(model: str | None, dtype: str) -> Engine:
    extractor = Extractor.from_pretrained(model, device="cpu", dtype=dtype)
    return lambda pages: sum(len(record.entities) for record in extractor.extract(pages) if isinstance(record, Record))


def pipeline_engine(model: str | None, dtype: str, batch_size: int) -> Engine:
    folder = str(find_model(model))
    pipe = pipeline(
        "token-classification", model=folder, dtype=getattr(torch, dtype), device="cpu", aggregation_strategy="simple",
        stride=32, batch_size=batch_size,
    )  # fmt: skip
    return lambda pages: sum(len(found) for found in pipe([normalize(page).text for page in pages]))


def measure(engines: dict[str, Engine], pages: Sequence[str], repetitions: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for engine in engines.values():
        engine(pages[:8])  # warm-up
    for _ in range(repetitions):
        for name, engine in engines.items():
            started = time.perf_counter()
            engine(pages)
            seconds[name].append(time.perf_counter() - started)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="+", help="annotated files, or folders of them")
    parser.add_argument("--model", help="folder or Hub id; default: the model in the package")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    pages = read_pages(options.pages)
    characters = sum(map(len, pages))
    engines: dict[str, Engine] = {}
    for dtype in options.dtypes:
        engines[f"renshi {dtype}"] = renshi_engine(options.model, dtype)
        for size in options.batch_sizes:
            engines[f"pipeline {dtype} batch {size}"] = pipeline_engine(options.model, dtype, size)
    seconds = measure(engines, pages, options.repetitions)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        spread = max(seconds[name]) / min(seconds[name])
        print(f"{name:28} {characters / median:10,.0f} characters/s  {median:7.2f} s  (slowest/fastest {spread:.2f})")
    ratios = {}
    for dtype in options.dtypes:
        best = min(value for name, value in medians.items() if name.startswith(f"pipeline {dtype} "))
        ratios[dtype] = round(best / medians[f"renshi {dtype}"], 2)
        print(f"{dtype}: renshi is {ratios[dtype]:.2f} times as fast as the pipeline at its best batch size")
    if options.json:
        result = {
            "documents": len(pages), "characters": characters, "repetitions": options.repetitions,
            "seconds_median": {name: round(value, 3) for name, value in medians.items()}, "ratios": ratios,
            "threads": torch.get_num_threads(), "processor": platform.processor() or platform.machine(),
            "torch": torch.__version__, "transformers": transformers.__version__,
        }  # fmt: skip
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
