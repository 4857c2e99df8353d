"""Raw text to read: compressed files and Hub datasets, streamed, tokenized once into memory-mapped arrays of ids."""

from __future__ import annotations

import hashlib
import io
import itertools
import lzma
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from renshi.text import normalize
from training.tokenizer import load_fast_tokenizer

__all__ = [
    "Corpus",
    "HubDataset",
    "corpora_problems",
    "documents",
    "list_corpora",
    "paragraphs",
    "token_arrays",
    "tokenize_corpus",
]


@dataclass(frozen=True, kw_only=True)
class HubDataset:
    """A dataset of the Hub, or a folder that `datasets` reads: streamed, never kept whole. One row is one document."""

    name: str
    """Such as ``wikimedia/wikipedia``, or a folder (``{data_root}/wikipedia``) with Parquet, JSON or text files."""
    config: str = ""
    """The dataset's own name for a part, such as ``20231101.zh``."""
    split: str = "train"
    column: str = "text"
    revision: str = ""
    """A commit or tag: what is read does not change under the run. Part of the cache's key, so a new one is read anew."""
    rows: int = 0
    """Read so many rows from the first on; 0: all."""
    weight: float = 1.0

    def problems(self) -> Iterator[str]:
        if self.rows < 0:
            yield f"rows: {self.rows} is below 0"
        if self.weight <= 0:
            yield f"weight: {self.weight} is not a weight above 0"


@dataclass(frozen=True)
class Corpus:
    """Text, and how many times it is read."""

    origin: Path | HubDataset
    weight: float

    @property
    def name(self) -> str:
        """What messages and cache files call it."""
        if isinstance(self.origin, Path):
            return self.origin.name
        return "-".join(filter(None, (self.origin.name.strip("/").split("/")[-1], self.origin.config)))

    def key(self) -> str:
        """What the tokens depend on: of a file its name and size, of a dataset all that names it."""
        if isinstance(self.origin, Path):
            return f"{self.origin.name} {self.origin.stat().st_size}"
        return repr(astuple(self.origin)[:-1])  # all but the weight

    def lines(self) -> Iterator[str]:
        """A paragraph a line, a blank line between documents."""
        return paragraphs(self.origin) if isinstance(self.origin, Path) else _rows(self.origin)


def list_corpora(files: Mapping[str, float], datasets: Sequence[HubDataset], data_root: str) -> list[Corpus]:
    """The corpora of a config, files (under `data_root`) first."""
    found = [Corpus(Path(data_root, name), weight) for name, weight in files.items()]
    for dataset in datasets:
        values = vars(dataset) | {"name": dataset.name.replace("{data_root}", data_root)}
        found.append(Corpus(HubDataset(**values), dataset.weight))
    return found


def corpora_problems(files: Mapping[str, float], datasets: Sequence[HubDataset]) -> Iterator[str]:
    """What is wrong with a config's corpora."""
    if not files and not datasets:
        yield 'corpora: name a file with its weight, such as corpora = {"news.txt.xz" = 1.0}, or add a table [[hub]]'
    for name, weight in files.items():
        if weight <= 0:
            yield f"corpora.{name}: {weight} is not a weight above 0"


def paragraphs(path: Path) -> Iterator[str]:
    """The lines of a file, decompressed as its suffix says. Raises `ValueError`, naming the file, where it is damaged."""
    damaged: tuple[type[Exception], ...] = (lzma.LZMAError, EOFError, UnicodeDecodeError)
    try:
        if path.suffix == ".zst":
            import zstandard

            damaged += (zstandard.ZstdError,)
            with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
                yield from io.TextIOWrapper(stream, encoding="utf-8")
            return
        with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
            yield from lines
    except damaged as error:
        raise ValueError(
            f"{path}: cannot be read to its end as UTF-8 text ({error}); fetch or make it again"
        ) from error


def documents(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """The documents of a corpus, given as its lines: their numbers from 0, and their paragraphs, stripped."""
    number, found = 0, list[str]()
    for line in lines:
        if stripped := line.strip():
            found.append(stripped)
        elif found:
            yield number, found
            number, found = number + 1, []
    if found:
        yield number, found


def _rows(dataset: HubDataset) -> Iterator[str]:
    from datasets import load_dataset  # type: ignore[attr-defined]  # here: half a second, not needed for files

    stream: Any = load_dataset(
        dataset.name, dataset.config or None, split=dataset.split, revision=dataset.revision or None, streaming=True
    )
    for row in itertools.islice(stream, dataset.rows or None):
        if dataset.column not in row:
            raise ValueError(
                f"hub: {dataset.name} has no column {dataset.column!r}; its columns are {', '.join(row)}: "
                f'set column = "{next(iter(row))}"'
            )
        yield from (line for line in str(row[dataset.column] or "").splitlines() if line.strip())
        yield ""


def tokenize_corpus(corpus: Corpus, tokenizer_folder: str, cache: Path, traditional_share: float = 0.0) -> Path:
    """The corpus as one array of token ids, ``[SEP]`` between documents; made once, kept in `cache`. Its name holds what
    the ids depend on, so that another vocabulary, file or share is another array.

    Args:
        corpus: Read line by line; memory holds 5,000 of them.
        tokenizer_folder: A tokenizer's folder or Hub id.
        cache: The folder of the arrays, shared by all runs.
        traditional_share: The share of the documents whose Traditional characters stay as they are.
    """
    tokenizer = load_fast_tokenizer(tokenizer_folder)
    key = "\n".join((corpus.key(), tokenizer.backend_tokenizer.to_str(), str(traditional_share)))
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    target = cache / f"{corpus.name}.{Path(tokenizer_folder).name}-{digest}.npy"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.partial")  # two runs at once: each writes its own, the last one stays
    try:
        with partial.open("wb") as file:
            tokens, unknown = _write_array(file, _token_ids(corpus, tokenizer, traditional_share), tokenizer)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    print(f"{corpus.name}: {tokens:,} tokens, {unknown / max(tokens, 1):.2%} unknown", file=sys.stderr, flush=True)
    return target


def _token_ids(corpus: Corpus, tokenizer: PreTrainedTokenizerFast, traditional_share: float) -> Iterator[list[int]]:
    """The ids of each paragraph; a blank one is ``[SEP]``."""
    draw = np.random.default_rng(0)
    lines, traditional = corpus.lines(), draw.random() < traditional_share
    while chunk := list(itertools.islice(lines, 5000)):
        texts = []
        for line in chunk:
            texts.append(normalize(line, fold=not traditional).text)
            if not line.strip():  # the next document
                traditional = draw.random() < traditional_share
        for ids, text in zip(
            tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"], texts, strict=True
        ):
            yield ids if text.strip() else [tokenizer.sep_token_id]


def _write_array(file: BinaryIO, pieces: Iterable[list[int]], tokenizer: PreTrainedTokenizerFast) -> tuple[int, int]:
    """Write a ``.npy`` of unknown length; returns its length and how many of its ids are ``[UNK]``."""
    dtype = np.dtype(np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32)
    header: dict[str, Any] = {"descr": dtype.str, "fortran_order": False, "shape": (0,)}
    np.lib.format.write_array_header_1_0(file, header)
    tokens = unknown = 0
    for ids in pieces:
        file.write(np.array(ids, dtype=dtype).tobytes())
        tokens, unknown = tokens + len(ids), unknown + ids.count(tokenizer.unk_token_id)
    file.seek(0)
    np.lib.format.write_array_header_1_0(file, header | {"shape": (tokens,)})  # NumPy leaves room for the digits
    return tokens, unknown


def token_arrays(
    corpora: Sequence[Corpus], tokenizer_folder: str, cache: Path, traditional_share: float = 0.0
) -> list[NDArray[Any]]:
    """The memory-mapped token ids of each corpus, tokenized by as many processes as there are cores."""
    with ProcessPoolExecutor() as pool:
        jobs = [pool.submit(tokenize_corpus, each, tokenizer_folder, cache, traditional_share) for each in corpora]
        return [np.load(job.result(), mmap_mode="r") for job in jobs]
