"""Peak memory of `renshi extract INPUT -o FOLDER/`, from ten thousand documents to a million: is it flat?

    python scripts/memory.py [--documents 10000 100000 1000000] [--long 10000 100000] [--files 10000 100000]
                             [--dtype float32] [--json FILE]

The network is tiny (two layers of 32, random weights, hardly an entity), so that what is measured is the pipeline: reading,
normalizing, batches, records, writing. The shipped network adds its own weights and activations, which do not grow with the
number of documents either. Each run is a process of its own; its peak is what the system says of it when it ends.

Three series: short documents (invented sentences of 15 to 60 characters, made while they are written, packed .jsonl.zst);
the pages of the original corpus, over and over (`--long`); and a folder of one file a document
(`--files`), 1,000 in each of its folders. Needs: pip install "renshi[train,zst]"; 3 GB of disk for a million.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import IO, Any, cast

import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForTokenClassification

from renshi.info import versions
from renshi.labels import TAGS
from renshi.markup import read_markup
from training.tokenizer import build_vocabulary, from_vocabulary

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "data/original"


def make_model(folder: Path, texts: Iterable[str]) -> Path:
    """A model folder with random weights that sees an entity here and there."""
    torch.manual_seed(0)
    tokenizer = from_vocabulary(build_vocabulary(texts))
    tokenizer.model_max_length = 256
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=256, id2label=dict(enumerate(TAGS)), label2id={tag: n for n, tag in enumerate(TAGS)},
    )  # fmt: skip
    BertForTokenClassification(config).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"] *= 20
    weights["classifier.bias"][TAGS.index("O")] += 4
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    return folder


def short_documents(pages: str, count: int) -> Iterator[str]:
    chance = Random(0)
    for _ in range(count):
        start = chance.randrange(len(pages) - 60)
        yield pages[start : start + chance.randrange(15, 61)]


def write_lines(texts: Iterable[str], file: IO[bytes]) -> None:
    for number, text in enumerate(texts):
        file.write(json.dumps({"id": str(number), "text": text}, ensure_ascii=False).encode("utf-8") + b"\n")


def write_packed(texts: Iterable[str], path: Path) -> None:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    with zstd.open(path, "wb") as file:
        write_lines(texts, cast(IO[bytes], file))


def write_files(texts: Iterable[str], folder: Path) -> None:
    for number, text in enumerate(texts):
        path = folder / f"{number // 1000:04d}" / f"{number % 1000:03d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def measure(source: Path, model: Path, dtype: str, out: Path) -> dict[str, Any]:
    """One run: documents, seconds, and the peak of its resident memory in MB."""
    renshi = [sys.executable, "-m", "renshi", "extract"]
    started = time.monotonic()
    process = subprocess.Popen([*renshi, source, "-m", model, "-o", f"{out}/", "-q", "--dtype", dtype])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"renshi ended with status {os.waitstatus_to_exitcode(status)}")
    seconds = time.monotonic() - started
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    size = sum(part["bytes"] for part in manifest["parts"])
    shutil.rmtree(out)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    row = {
        "documents": manifest["documents"], "peak_mb": round(peak / 1e6, 1), "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1), "written_mb": round(size / 1e6, 1),
    }  # fmt: skip
    print(row, flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--long", type=int, nargs="*", default=[10_000, 100_000], help="real-length documents")
    parser.add_argument("--files", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--dtype", default="float32", help="as for renshi extract; default: float32")
    parser.add_argument("--json", type=Path, help="results are added to this file, one by one")
    parser.add_argument("--folder", type=Path, help="where the inputs go; default: the system's temporary folder")
    arguments = parser.parse_args()
    pages = [read_markup(path).text for path in sorted(CORPUS.rglob("*.txt"))]
    text = "".join(pages)
    found: dict[str, Any] = {}

    def add(series: str, source: Path, model: Path) -> None:
        found.setdefault(series, []).append(measure(source, model, arguments.dtype, source.parent / "out"))
        if arguments.json:
            save(arguments.json, found, arguments.dtype, round(len(text) / len(pages)))

    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        model = make_model(folder / "model", pages)
        for count in arguments.documents:
            write_packed(short_documents(text, count), folder / "short.jsonl.zst")
            add("short", folder / "short.jsonl.zst", model)
        for count in arguments.long:
            write_packed(islice(cycle(pages), count), folder / "pages.jsonl.zst")
            add("pages", folder / "pages.jsonl.zst", model)
        for count in arguments.files:
            write_files(short_documents(text, count), folder / "files")
            add("files", folder / "files", model)
            shutil.rmtree(folder / "files")
    for series, rows in found.items():
        peaks = [row["peak_mb"] for row in rows]
        print(f"{series}: the highest peak is {max(peaks) / min(peaks) - 1:+.1%} of the lowest")


def save(path: Path, found: dict[str, Any], dtype: str, page_characters: int) -> None:
    """After each run, so that of hours that are broken off what was measured stays; other series of the file stay too."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    conditions = {
        "processors": os.cpu_count(), "threads": torch.get_num_threads(), "machine": platform.machine(),
        "dtype": dtype, "page_characters": page_characters, "versions": versions(),
    }  # fmt: skip
    content = {**before, **found, "conditions": conditions}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
