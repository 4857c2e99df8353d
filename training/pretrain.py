"""Masked-language modelling on raw text: make an encoder, or go on with one.

    python -m training.pretrain configs/encoder.toml
    torchrun --nproc-per-node 2 -m training.pretrain configs/encoder.toml

It starts from a base model's weights or, with ``base_model = "random"``, from none, or from what counting the corpora
says (``init = "ppmi"``). The text is normalized as at inference (`renshi.text.normalize`), tokenized once into a cache of
token ids, packed into sequences, and masked anew at every step. Runs on a CPU, one GPU or several processes, in bfloat16
with fp32 master weights, for a budget of seconds (or of steps): the learning rate follows it, so that the run ends with a
finished decay whatever else the machine was doing. A killed run goes on from its last checkpoint.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerFast

from renshi.text import normalize
from training.config import format_config, main_config
from training.corpora import HubDataset, corpora_problems, list_corpora, token_arrays
from training.encoder import RandomEncoder, grow, new_encoder
from training.ppmi import WarmStart, warm_start
from training.precision import dtype_problems, uses_bfloat16
from training.sources import SourceError, read_source
from training.tokenizer import load_fast_tokenizer

INITS = ("random", "ppmi")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """One pretraining run. `corpora` maps a file (``.txt``, ``.txt.xz`` or ``.txt.zst``, a paragraph a line, a blank line
    between documents) to its weight: how many times it is read, 0.5 being every other sequence of it. Each table of `hub`
    is a dataset read beside them."""

    base_model: str
    """A folder, a Hub id, or ``random``: a new encoder, of the shape of `random_encoder`, with the `tokenizer` named."""
    output: str
    corpora: dict[str, float] = field(default_factory=dict)
    hub: tuple[HubDataset, ...] = ()
    data_root: str = "."
    cache: str = "runs/cache"
    tokenizer: str = ""
    """The folder or Hub id of the vocabulary of a new encoder (`training.vocabulary` makes one)."""
    random_encoder: RandomEncoder = field(default_factory=RandomEncoder)
    init: str = "random"
    """What a new encoder begins with: ``random`` weights, or ``ppmi`` (see `training.ppmi`)."""
    ppmi: WarmStart = field(default_factory=WarmStart)
    traditional_share: float = 0.0
    """The share of the documents whose Traditional characters are left as they are: for an encoder whose vocabulary has
    them and that is to read them without `renshi`'s normalization. Simplified documents stay what they are."""
    heldout: str = ""
    """A folder of inline markup whose text is in no corpus: the loss on it is measured at every checkpoint."""
    layers: int = 0
    """Layers of the new encoder; more than the base model's: layers that at first change nothing are put between its
    own (see `grow`). 0: as many as it has."""
    intermediate_size: int = 0
    """Units of each feed-forward layer of the new encoder; more than the base model's: units that at first change
    nothing are put beside its own (see `grow`). 0: as many as it has."""
    lengths: dict[str, float] = field(default_factory=lambda: {"128": 0.75, "256": 0.17, "512": 0.08})
    """The sequence lengths, in tokens, and the share of the steps that each has. Short ones cost less and teach nearly
    as much; some long ones train the positions that long windows need."""
    batch_tokens: int = 4096
    """Tokens in one update, of all processes and all accumulated parts together."""
    accumulate: int = 1
    """Parts that one process's batch is computed in, one after the other, to save memory."""
    mask_share: float = 0.15
    seconds: float = 3600
    """The budget of the run, checkpoints and all, where `steps` is 0."""
    steps: int = 0
    """The budget in updates; 0: `seconds` is the budget."""
    learning_rate: float = 1e-3
    warmup_share: float = 0.02
    weight_decay: float = 0.01
    checkpoint_seconds: float = 300
    dtype: str = "auto"
    """What the matrices are multiplied in; the weights are float32. ``auto``: ``bfloat16`` where the hardware has it."""
    seed: int = 0

    def problems(self) -> Iterator[str]:
        yield from corpora_problems(self.corpora, self.hub)
        yield from self._start_problems()
        for length, share in self.lengths.items():
            if not length.isdecimal() or not 8 <= int(length) <= 512:
                yield f"lengths.{length}: is not between 8 and 512 tokens"
            elif int(length) * self.accumulate > self.batch_tokens:
                yield f"lengths.{length}: batch_tokens ({self.batch_tokens}) has no room for {self.accumulate} such rows"
            if share <= 0:
                yield f"lengths.{length}: {share} is not a share above 0; leave the length out instead"
        if not self.lengths:
            yield 'lengths: names none; such as lengths = {"128" = 1.0}'
        if self.accumulate < 1:
            yield f"accumulate: {self.accumulate} is less than 1"
        if not 0 < self.mask_share < 1:
            yield f"mask_share: {self.mask_share} is not between 0 and 1"
        if not 0 <= self.traditional_share <= 1:
            yield f"traditional_share: {self.traditional_share} is not between 0 and 1"
        yield from dtype_problems(self.dtype)

    def _start_problems(self) -> Iterator[str]:
        new = self.base_model == "random"
        if self.init not in INITS:
            yield f"init: {self.init!r} is unknown; a new encoder begins with {' or '.join(INITS)}"
        elif self.init != "random" and not new:
            yield (
                f"init: {self.init} would overwrite what {self.base_model} has learned; "
                'set base_model = "random", or leave init out'
            )
        if new and not self.tokenizer:
            yield (
                'tokenizer: a new encoder needs a vocabulary: tokenizer = "models/encoder", '
                "or a folder that training.vocabulary made"
            )
        if not new and self.tokenizer:
            yield f'tokenizer: {self.base_model} has its own; leave tokenizer out, or set base_model = "random"'
        if new and self.layers:
            yield "layers: grows a base model; a new encoder's are random_encoder.num_hidden_layers"
        if new and self.intermediate_size:
            yield "intermediate_size: grows a base model; a new encoder's is four times random_encoder.hidden_size"
        longest = max((int(length) for length in self.lengths if length.isdecimal()), default=0)
        if new and self.random_encoder.max_position_embeddings < longest:
            places = self.random_encoder.max_position_embeddings
            yield f"random_encoder.max_position_embeddings: {places} is less than the longest of the lengths, {longest}"

    @property
    def vocabulary(self) -> str:
        """Where the tokenizer comes from."""
        return self.tokenizer or self.base_model

    @property
    def weights(self) -> list[float]:
        """How many times each corpus is read, files first."""
        return [*self.corpora.values(), *(dataset.weight for dataset in self.hub)]


def sequences(
    weights: Sequence[float], arrays: Sequence[NDArray[Any]], length: int, seed: int
) -> Iterator[tuple[int, int]]:
    """Endless (corpus, first token) of sequences of `length`, every corpus as often as its weight says, in an order
    fixed by the seed. Raises `ValueError` where there is not enough text for one."""
    body = length - 2
    for epoch in range(1_000_000):
        rng = np.random.default_rng((seed, length, epoch))
        order: list[NDArray[np.int64]] = []
        for number, (array, weight) in enumerate(zip(arrays, weights, strict=True)):
            for repetition in range(math.ceil(weight)):
                starts = np.arange(int(rng.integers(body)), len(array) - body, body)
                share = min(1.0, weight - repetition)
                starts = rng.permutation(starts)[: int(len(starts) * share)]
                order.append(np.stack([np.full_like(starts, number), starts], axis=1))
        pairs = np.concatenate(order)
        if not len(pairs):
            raise ValueError(f"corpora: fewer than {body} tokens in all; use shorter lengths or more text")
        for corpus, start in rng.permutation(pairs):
            yield int(corpus), int(start)


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


class Processes:
    """The processes of one run: one, or those that torchrun started (the averages of the gradients go through gloo on a
    CPU, through NCCL on GPUs)."""

    def __init__(self) -> None:
        self.count, self.rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        cuda = torch.cuda.is_available()
        self.device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if cuda else "cpu")
        if self.count > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(hours=6))  # a corpus is tokenized

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor, in place, by its mean over the processes."""
        if self.count > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor /= self.count

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor, in place, by the first process's."""
        if self.count > 1:
            for tensor in tensors:
                there = tensor.detach().to(self.device)
                dist.broadcast(there, 0)
                tensor.data.copy_(there)

    def leave(self) -> None:
        if self.count > 1:
            dist.destroy_process_group()

    def first(self, value: float) -> float:
        """The value that the first process has; all must ask."""
        if self.count == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(tensor, 0)
        return tensor.item()


class Pretraining:
    """A run's state: model, optimizer, and how far it is. `checkpoint.pt` in the output folder holds all of it."""

    def __init__(
        self, config: PretrainConfig, tokenizer: PreTrainedTokenizerFast, arrays: Sequence[NDArray[Any]]
    ) -> None:
        self._config, self._tokenizer = config, tokenizer
        self._special = tuple(sorted(tokenizer.all_special_ids))
        self.processes = Processes()
        self._device = self.processes.device
        self._dtype = torch.bfloat16 if uses_bfloat16(config.dtype, self._device.type) else torch.float32
        self._checkpoint = Path(config.output, "checkpoint.pt")
        model = self._first_model(arrays)
        self.model = model.to(self._device).train()
        self.processes.share(self.model.parameters())  # weights that the base model lacks are random
        parameters = list(self.model.parameters())
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=config.learning_rate, betas=(0.9, 0.98), fused=True,
        )  # fmt: skip
        self.step_number, self.seconds = 0, 0.0
        if self._checkpoint.exists():
            state = torch.load(self._checkpoint, map_location=self._device, weights_only=True)
            self.model.load_state_dict(state["model"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.step_number, self.seconds = state["step"], state["seconds"]
            print(f"going on from step {self.step_number} after {self.seconds:.0f} s", flush=True)

    def _first_model(self, arrays: Sequence[NDArray[Any]]) -> Any:
        """The model before the first step; the first process's counts."""
        config = self._config
        if config.base_model != "random":
            # Eager attention: at 128 to 256 tokens and 64 dimensions a head, on two cores with AVX512-BF16, a step took
            # 0.69 of the time that it takes with the fused kernel (backward included).
            model = AutoModelForMaskedLM.from_pretrained(
                config.base_model, dtype=torch.float32, attn_implementation="eager"
            )
            grow(model, config.layers, config.intermediate_size)
            return model
        torch.manual_seed(config.seed)
        model = new_encoder(config.random_encoder, len(self._tokenizer))
        if config.init == "ppmi" and not self._checkpoint.exists() and self.processes.rank == 0:
            started = time.monotonic()
            warm_start(model, arrays, config.weights, config.ppmi)
            print(f"counted what stands beside what in {time.monotonic() - started:.0f} s", flush=True)
        return model

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
        """One update on this process's (rows, tokens) ids; returns the loss on those of all processes."""
        config, processes = self._config, self.processes
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.progress, config)
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        for number, part in enumerate(np.array_split(batch, config.accumulate), processes.rank * config.accumulate):
            # What is random follows from the step and the part: a resumed run goes on as an undisturbed one, and n
            # processes do what one does that accumulates n parts.
            generator = np.random.default_rng((config.seed, 1, self.step_number, number))
            torch.manual_seed((config.seed + number) * 1_000_003 + self.step_number)
            loss, _ = self._masked_loss(part, generator)
            (loss / config.accumulate).backward()
            total += loss.detach() / config.accumulate
        processes.average([total, *(p.grad for p in self.model.parameters() if p.grad is not None)])
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.step_number += 1
        return total.item()

    def _masked_loss(self, batch: NDArray[np.int64], generator: np.random.Generator) -> tuple[torch.Tensor, float]:
        """The mean loss on masked tokens, and the share of them that the model guesses."""
        size, mask_id = len(self._tokenizer), self._tokenizer.mask_token_id
        ids, positions, labels = (
            torch.from_numpy(array).to(self._device)
            for array in mask(batch, self._config.mask_share, self._special, mask_id, size, generator)
        )
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            hidden = self.model.base_model(ids).last_hidden_state
            # Only the masked positions go through the head: the vocabulary is the largest matrix of a small model.
            logits = self.model.cls(hidden.reshape(-1, hidden.shape[-1])[positions])
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        return loss, float((logits.argmax(-1) == labels).float().mean())

    def heldout(self, rows: NDArray[np.int64]) -> tuple[float, float]:
        """Loss and accuracy on (rows, tokens) ids whose masks are the same every time."""
        self.model.eval()
        generator = np.random.default_rng(0)
        with torch.inference_mode():
            found = [self._masked_loss(part, generator) for part in np.array_split(rows, max(1, len(rows) // 32))]
        self.model.train()
        return float(np.mean([loss.item() for loss, _ in found])), float(np.mean([share for _, share in found]))


def batches(
    config: PretrainConfig, arrays: Sequence[NDArray[Any]], cls: int, sep: int, skip: int, rank: int = 0,
    processes: int = 1,
) -> Iterator[NDArray[np.int64]]:  # fmt: skip
    """(rows, tokens) ids for one of several processes, endless, from the step `skip` on."""
    lengths = [int(length) for length in config.lengths]
    rows = [max(config.accumulate, config.batch_tokens // processes // length) for length in lengths]
    shares = np.array(list(config.lengths.values()))
    drawn = np.random.default_rng((config.seed, 2)).choice(len(lengths), size=10_000_000, p=shares / shares.sum())
    done = np.bincount(drawn[:skip], minlength=len(lengths)) * rows * processes
    sources = [
        itertools.islice(sequences(config.weights, arrays, length, config.seed), int(first), None)
        for length, first in zip(lengths, done, strict=True)
    ]
    for choice in drawn[skip:]:
        body = lengths[choice] - 2
        taken = [next(sources[choice]) for _ in range(rows[choice] * processes)]
        first = rank * rows[choice]
        mine = [arrays[number][start : start + body] for number, start in taken[first : first + rows[choice]]]
        yield frame(np.stack(mine).astype(np.int64), cls, sep)


def frame(rows: NDArray[np.int64], cls: int, sep: int) -> NDArray[np.int64]:
    """The rows with ``[CLS]`` before and ``[SEP]`` behind each."""
    return np.pad(np.pad(rows, ((0, 0), (1, 0)), constant_values=cls), ((0, 0), (0, 1)), constant_values=sep)


def heldout_rows(folder: str, tokenizer: PreTrainedTokenizerFast, length: int) -> NDArray[np.int64]:
    """The text of a folder of inline markup as (rows, `length`) token ids; the rest of a document is left out."""
    examples, _ = read_source("markup", Path(folder))
    rows = []
    for example in examples:
        ids = tokenizer(normalize(example.text).text, add_special_tokens=False)["input_ids"]
        rows += [ids[start : start + length - 2] for start in range(0, len(ids) - length + 3, length - 2)]
    if not rows:
        raise ValueError(f"heldout: {folder}: no document in it has {length - 2} tokens")
    return frame(np.array(rows), tokenizer.cls_token_id, tokenizer.sep_token_id)


class Log:
    """The run's rows, in ``log.jsonl``; what a killed run wrote behind its last checkpoint is dropped."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        old = path.read_text(encoding="utf-8").splitlines() if path.exists() and step else []
        self.rows: list[dict[str, Any]] = [row for row in map(json.loads, old) if row["step"] <= step]
        path.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")

    def add(self, **row: Any) -> None:
        self.rows.append(row)
        print(json.dumps(row), flush=True)
        with self._path.open("a", encoding="utf-8") as file:
            print(json.dumps(row), file=file)


def pretrain(config: PretrainConfig) -> Path:
    """Run `config`; returns the folder of the encoder, masked-LM head included."""
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    if int(os.environ.get("LOCAL_RANK", 0)) > 0:
        Processes()  # waits for the first process of this machine, which tokenizes before it comes there
    if int(os.environ.get("RANK", 0)) == 0:
        (output / "config.toml").write_text(format_config(config), encoding="utf-8")
    tokenizer = load_fast_tokenizer(config.vocabulary)
    corpora = list_corpora(config.corpora, config.hub, config.data_root)
    arrays = token_arrays(corpora, config.vocabulary, Path(config.cache), config.traditional_share)
    print(f"{sum(map(len, arrays)):,} tokens in {len(arrays)} corpora", flush=True)
    length = min(128, config.random_encoder.max_position_embeddings) if config.base_model == "random" else 128
    heldout = heldout_rows(config.heldout, tokenizer, length) if config.heldout else None

    run = Pretraining(config, tokenizer, arrays)
    processes = run.processes
    main = processes.rank == 0
    log = Log(output / "log.jsonl", run.step_number) if main else None
    started_at, saved, last = run.step_number, run.seconds, time.monotonic()
    losses: list[float] = []

    def checkpoint() -> None:
        if log is None:
            return
        run.save()
        if heldout is not None:
            loss, accuracy = run.heldout(heldout)
            log.add(step=run.step_number, heldout_loss=round(loss, 4), heldout_accuracy=round(accuracy, 4))

    if run.step_number == 0:
        checkpoint()
    special = tokenizer.cls_token_id, tokenizer.sep_token_id
    for batch in batches(config, arrays, *special, run.step_number, processes.rank, processes.count):
        run.seconds = processes.first(run.seconds)
        if run.progress >= 1:
            break
        losses.append(run.step(batch))
        if log and run.step_number % 100 == 0:
            tokens = run.step_number * config.batch_tokens
            loss = round(float(np.mean(losses)), 4)
            log.add(step=run.step_number, seconds=round(run.seconds), tokens=tokens, loss=loss)
            losses.clear()
        if run.seconds - saved > config.checkpoint_seconds:
            checkpoint()
            saved = run.seconds
        now = time.monotonic()
        run.seconds, last = run.seconds + now - last, now
    checkpoint()
    if log:
        run.model.to(torch.bfloat16).save_pretrained(output / "model")
        tokenizer.save_pretrained(output / "model")
        draw_learning_curve(log.rows, output / "learning-curve.png")
        print(f"{run.step_number - started_at} steps; the encoder is in {output / 'model'}")
    processes.leave()
    return output / "model"


def draw_learning_curve(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Training and held-out loss over the steps, held-out accuracy beside."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    losses = figure.add_subplot(xlabel="step", ylabel="masked-LM loss (nats)")
    shares = losses.twinx()
    shares.set_ylabel("held-out masked accuracy")
    for axes, key, color, label in (
        (losses, "loss", "#0072b2", "training loss"),
        (losses, "heldout_loss", "#009e73", "held-out loss"),
        (shares, "heldout_accuracy", "#d55e00", "held-out accuracy"),
    ):
        found = [row for row in rows if key in row]
        axes.plot([row["step"] for row in found], [row[key] for row in found], color=color, label=label)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=150)


def main(arguments: Sequence[str] | None = None) -> int:
    config = main_config(PretrainConfig, __doc__, arguments)
    try:
        pretrain(config)
    except (SourceError, OSError, ValueError) as error:  # a corpus or base model that is not there, or does not fit
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
