"""Masked-language modelling on raw text: make an encoder, or go on with one.

    python -m training.pretrain configs/encoder.toml

The text is normalized as at inference (`renshi.text.normalize`), tokenized once into a cache of token ids, packed into
sequences of one length, and masked anew at every step. Runs on a CPU or one GPU, in bfloat16 with fp32 master weights,
for a budget of seconds (or of steps): the learning rate follows it, so that the run ends with a finished decay whatever
else the machine was doing. A killed run goes on from its last checkpoint.
"""

from __future__ import annotations

import itertools
import json
import lzma
import math
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerFast

from renshi.text import normalize
from training.config import format_config, main_config
from training.tokenizer import load_fast_tokenizer


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """One pretraining run. `corpora` maps a file (``.txt`` or ``.txt.xz``, a paragraph a line, a blank line between
    documents) to its weight: how many times it is read, 0.5 being every other sequence of it."""

    base_model: str
    output: str
    corpora: dict[str, float] = field(default_factory=dict)
    data_root: str = "."
    cache: str = "runs/cache"
    length: int = 256
    batch_size: int = 16
    mask_share: float = 0.15
    seconds: float = 3600
    """The budget of the run, checkpoints and all, where `steps` is 0."""
    steps: int = 0
    """The budget in updates; 0: `seconds` is the budget."""
    learning_rate: float = 1e-3
    warmup_share: float = 0.02
    weight_decay: float = 0.01
    checkpoint_seconds: float = 300
    seed: int = 0

    def problems(self) -> Iterator[str]:
        if not self.corpora:
            yield 'corpora: name at least one file with its weight, such as corpora = {"news.txt.xz" = 1.0}'
        for name, weight in self.corpora.items():
            if weight <= 0:
                yield f"corpora.{name}: {weight} is not a weight above 0"
        if not 8 <= self.length <= 512:
            yield f"length: {self.length} is not between 8 and 512 tokens"
        if not 0 < self.mask_share < 1:
            yield f"mask_share: {self.mask_share} is not between 0 and 1"


def paragraphs(path: Path) -> Iterator[str]:
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
        yield from lines


def tokenize_corpus(path: Path, tokenizer_folder: str, cache: Path) -> Path:
    """The corpus as one array of token ids (uint16), ``[SEP]`` between documents; made once, kept in `cache`."""
    target = cache / f"{path.name}.{Path(tokenizer_folder).name}.npy"
    if target.exists():
        return target
    tokenizer = load_fast_tokenizer(tokenizer_folder)
    pieces: list[NDArray[np.uint16]] = []
    chunk: list[str] = []

    def flush() -> None:
        texts = [normalize(line).text for line in chunk]
        for ids, text in zip(tokenizer(texts, add_special_tokens=False)["input_ids"], texts, strict=True):
            pieces.append(np.array(ids if text.strip() else [tokenizer.sep_token_id], dtype=np.uint16))
        chunk.clear()

    for line in paragraphs(path):
        chunk.append(line)
        if len(chunk) == 5000:
            flush()
    flush()
    cache.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial.npy")
    np.save(partial, np.concatenate(pieces))
    partial.rename(target)
    return target


def sequences(config: PretrainConfig, arrays: list[NDArray[np.uint16]]) -> Iterator[tuple[int, int]]:
    """Endless (corpus, first token), every corpus as often as its weight says, in an order fixed by the seed."""
    body = config.length - 2
    for epoch in range(1_000_000):
        rng = np.random.default_rng((config.seed, epoch))
        order: list[tuple[int, int]] = []
        for number, (array, weight) in enumerate(zip(arrays, config.corpora.values(), strict=True)):
            for repetition in range(math.ceil(weight)):
                offset = int(rng.integers(body))
                starts = np.arange(offset, len(array) - body, body)
                share = min(1.0, weight - repetition)
                starts = rng.permutation(starts)[: int(len(starts) * share)]
                order += [(number, int(start)) for start in starts]
        if not order:
            raise ValueError(f"corpora: fewer than {body} tokens in all; use a shorter length or more text")
        for index in rng.permutation(len(order)):
            yield order[index]


def mask(
    ids: NDArray[np.int64],
    share: float,
    special: tuple[int, ...],
    mask_id: int,
    vocab_size: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Mask spans of one to three tokens: (masked ids, flat positions, original ids there). 80 % become ``[MASK]``, 10 %
    another token, 10 % stay (Devlin et al. 2019). Mostly single tokens: a small model learns little from long gaps."""
    flat = ids.reshape(-1)
    wanted = int(len(flat) * share)
    starts = rng.choice(len(flat), size=wanted, replace=False)
    lengths = rng.choice(3, size=wanted, p=(0.6, 0.25, 0.15)) + 1
    chosen = np.zeros(len(flat) + 3, dtype=bool)
    # Spans in random order until the share is reached; 1.55 is the mean length.
    for start, length in zip(starts[: int(wanted / 1.5)], lengths, strict=False):
        chosen[start : start + length] = True
    positions = np.flatnonzero(chosen[: len(flat)] & ~np.isin(flat, special))
    positions = np.sort(rng.permutation(positions)[:wanted])
    labels = flat[positions].copy()
    masked = flat.copy()
    draw = rng.random(len(positions))
    masked[positions[draw < 0.8]] = mask_id
    other = positions[draw >= 0.9]
    masked[other] = rng.integers(len(special), vocab_size, size=len(other))
    return masked.reshape(ids.shape), positions, labels


def learning_rate(progress: float, config: PretrainConfig) -> float:
    """Linear warm-up, then cosine decay to zero, over `progress` from 0 to 1."""
    if progress < config.warmup_share:
        return config.learning_rate * progress / config.warmup_share
    decay = (progress - config.warmup_share) / (1 - config.warmup_share)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(decay, 1.0)))


class Pretraining:
    """A run's state: model, optimizer, and how far it is. `checkpoint.pt` in the output folder holds all of it."""

    def __init__(self, config: PretrainConfig, tokenizer: PreTrainedTokenizerFast) -> None:
        self._config, self._tokenizer = config, tokenizer
        self._special = tuple(sorted(tokenizer.all_special_ids))
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # Eager attention: at 128 to 256 tokens and 64 dimensions a head, on two cores with AVX512-BF16, a step took
        # 0.69 of the time that it takes with the fused kernel (backward included).
        model = AutoModelForMaskedLM.from_pretrained(
            config.base_model, dtype=torch.float32, attn_implementation="eager"
        )
        self.model = model.to(self._device).train()
        parameters = list(self.model.parameters())
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=config.learning_rate, betas=(0.9, 0.98), fused=True,
        )  # fmt: skip
        self.step_number, self.seconds = 0, 0.0
        self._checkpoint = Path(config.output, "checkpoint.pt")
        if self._checkpoint.exists():
            state = torch.load(self._checkpoint, map_location=self._device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.step_number, self.seconds = state["step"], state["seconds"]
            print(f"going on from step {self.step_number} after {self.seconds:.0f} s", flush=True)

    @property
    def progress(self) -> float:
        """From 0 to 1, by steps where the config sets them, else by the clock."""
        config = self._config
        return self.step_number / config.steps if config.steps else self.seconds / config.seconds

    def save(self) -> None:
        """Write the checkpoint whole: a kill leaves the old one or the new one."""
        state = {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict()}
        partial = self._checkpoint.with_suffix(".partial")
        torch.save({**state, "step": self.step_number, "seconds": self.seconds}, partial)
        partial.replace(self._checkpoint)

    def step(self, batch: NDArray[np.int64]) -> float:
        """One update on (rows, tokens) ids; returns the loss."""
        config = self._config
        generator = np.random.default_rng((config.seed, 1, self.step_number))
        torch.manual_seed(config.seed * 1_000_003 + self.step_number)  # dropout too is the same after a resumption
        ids, positions, labels = (
            torch.from_numpy(array).to(self._device)
            for array in mask(
                batch, config.mask_share, self._special, self._tokenizer.mask_token_id, len(self._tokenizer), generator
            )
        )
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.progress, config)
        with torch.autocast(self._device.type, torch.bfloat16):
            hidden = self.model.base_model(ids).last_hidden_state
            # Only the masked positions go through the head: the vocabulary is the largest matrix of a small model.
            logits = self.model.cls(hidden.reshape(-1, hidden.shape[-1])[positions])
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step_number += 1
        return loss.item()


def batches(
    config: PretrainConfig, arrays: list[NDArray[np.uint16]], cls: int, sep: int, skip: int
) -> Iterator[NDArray[np.int64]]:
    """(rows, tokens) ids, endless, from the batch number `skip` on."""
    source = itertools.islice(sequences(config, arrays), skip * config.batch_size, None)
    while True:
        batch = np.empty((config.batch_size, config.length), dtype=np.int64)
        batch[:, 0], batch[:, -1] = cls, sep
        for row in range(config.batch_size):
            number, start = next(source)
            batch[row, 1:-1] = arrays[number][start : start + config.length - 2]
        yield batch


def pretrain(config: PretrainConfig) -> Path:
    """Run `config`; returns the folder of the encoder, masked-LM head included."""
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "config.toml").write_text(format_config(config), encoding="utf-8")
    tokenizer = load_fast_tokenizer(config.base_model)
    files = [Path(config.data_root, name) for name in config.corpora]
    with ProcessPoolExecutor() as pool:
        jobs = [pool.submit(tokenize_corpus, file, config.base_model, Path(config.cache)) for file in files]
        arrays = [np.load(job.result(), mmap_mode="r") for job in jobs]
    print(f"{sum(map(len, arrays)):,} tokens in {len(arrays)} corpora", flush=True)

    run = Pretraining(config, tokenizer)
    started_at, saved, last = run.step_number, run.seconds, time.monotonic()
    losses: list[float] = []
    with (output / "log.jsonl").open("a", encoding="utf-8") as log:
        for batch in batches(config, arrays, tokenizer.cls_token_id, tokenizer.sep_token_id, run.step_number):
            if run.progress >= 1:
                break
            losses.append(run.step(batch))
            now = time.monotonic()
            run.seconds, last = run.seconds + now - last, now
            if run.step_number % 100 == 0:
                tokens = run.step_number * config.batch_size * config.length
                row = {
                    "step": run.step_number,
                    "seconds": round(run.seconds),
                    "tokens": tokens,
                    "loss": round(float(np.mean(losses)), 4),
                }
                print(json.dumps(row), flush=True)
                print(json.dumps(row), file=log, flush=True)
                losses.clear()
            if run.seconds - saved > config.checkpoint_seconds:
                run.save()
                saved = run.seconds
    run.save()
    run.model.to(torch.bfloat16).save_pretrained(output / "model")
    tokenizer.save_pretrained(output / "model")
    print(f"{run.step_number - started_at} steps; the encoder is in {output / 'model'}")
    return output / "model"


if __name__ == "__main__":
    pretrain(main_config(PretrainConfig, __doc__))
