"""Where the seconds of an extraction go: each stage of the pipeline, timed on one chunk at a time.

    python scripts/stages.py [PATH …] [--model FOLDER] [--dtype NAME] [--seconds N] [--json FILE]

One chunk at a time, so that nothing runs beside anything else and the times add up. (In a long run the next chunk is
prepared beside the network's work on this one.) Reading files is left out; writing is JSON Lines into memory.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark import ROOT, conditions, endless, read_pages

import renshi.extractor
from renshi import Extractor, Record
from renshi.encode import Encoder
from renshi.writers import FORMATS

STAGES = {
    "normalization": "normalize",
    "windows": "split_windows",
    "tokenization": "encode",
    "network": "logits",
    "decoding": "decode",
    "probabilities of names": "evidence",
    "merging": "merge_spans",
    "repeated names": "find_repeats",
    "offsets": "to_raw_entities",
    "roles": "find_roles",
    "event types": "document_event_types",
    "writing": "write",
}
"""What each stage is called here, and the function that does it."""

CHUNK = 30_000  # characters


def timed(seconds: dict[str, float], stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        result = function(*arguments, **options)
        if stage == "tokenization":  # a generator
            result = list(result)
        seconds[stage] += time.perf_counter() - started
        return result

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="*", help="files, or folders of .txt; default: data/original")
    parser.add_argument("--model", help="folder or Hub id; default: the model in the package")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--seconds", type=float, default=30, help="how long about")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    seconds = dict.fromkeys(STAGES, 0.0)
    for stage, name in STAGES.items():
        if hasattr(renshi.extractor, name):
            setattr(renshi.extractor, name, timed(seconds, stage, getattr(renshi.extractor, name)))
    Encoder.encode = timed(seconds, "tokenization", Encoder.encode)  # type: ignore[method-assign]
    renshi.extractor._split = lambda documents, *_: iter([list(documents)])  # one chunk: nothing beside anything
    extractor = Extractor.from_pretrained(options.model, device="cpu", dtype=options.dtype)
    extractor.model.logits = timed(seconds, "network", extractor.model.logits)  # type: ignore[method-assign]
    writer = FORMATS["jsonl"](io.StringIO())
    write = timed(seconds, "writing", writer.write)

    pages = endless(read_pages(options.pages or [ROOT / "data" / "original"]))
    list(extractor.extract(list(itertools.islice(pages, 3))))
    seconds.update(dict.fromkeys(STAGES, 0.0))
    characters, total = 0, 0.0
    while total < options.seconds:
        chunk, size = [], 0
        while size < CHUNK:
            chunk.append(next(pages))
            size += len(chunk[-1])
        started = time.perf_counter()
        for record in extractor.extract(chunk):
            assert isinstance(record, Record)
            write(record)
        total += time.perf_counter() - started
        characters += size
    seconds["everything else"] = total - sum(seconds.values())
    print(f"{characters:,} characters in {total:.1f} s, {characters / total:,.0f} a second")
    for stage, value in seconds.items():
        print(f"{stage:22} {value / total:6.1%} {1e6 * value / characters:8.2f} µs a character")
    if options.json:
        report = {
            "conditions": {**conditions(), "dtype": extractor.model.dtype},  # type: ignore[attr-defined]
            "characters": characters,
            "seconds": round(total, 2),
            "shares": {stage: round(value / total, 4) for stage, value in seconds.items()},
        }
        options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
