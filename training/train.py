"""Fine-tune an encoder on annotated text: the model that `renshi.Extractor` loads.

    python -m training.train configs/default.toml
    torchrun --nproc-per-node 2 -m training.train configs/default.toml

The run's folder gets `model/` (weights, tokenizer, card: what is published), `config.toml` (every value in force),
`metrics.json` (the model on the dev data, end to end) and `learning-curves.png`. A killed run goes on from its last
checkpoint when the same command is given again.

Several processes train as one does whose batch is as large as theirs together: the same rows in the same updates, the
loss averaged over all tokens of an update, the dev data shared out; the first process writes the files.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from datasets import Dataset  # type: ignore[attr-defined]
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    BertConfig,
    BertForTokenClassification,
    EarlyStoppingCallback,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from renshi.batches import make_batches
from renshi.encode import Encoder
from renshi.extractor import Extractor
from renshi.labels import LABELS, bio_tags
from renshi.model import Calibration, pad_rows
from training.adversarial import perturbed
from training.align import Row, align
from training.augment import Augmentation, Gazetteer, augment
from training.average import WeightAverage
from training.calibrate import calibrate
from training.config import ConfigError, format_config, main_config
from training.encoder import RandomEncoder, extend_positions, grow
from training.evaluate import judge, span_counts
from training.loss import divergence, partial_label_loss
from training.metrics import score_of
from training.precision import dtype_problems, uses_bfloat16
from training.rates import parameter_groups
from training.reader import Reader
from training.sources import FORMATS, Example, SourceError, read_source
from training.tokenizer import add_line_feed, build_vocabulary, from_vocabulary, load_fast_tokenizer

__all__ = ["LiveModel", "Source", "TrainConfig", "TrainingData", "fit", "prepare", "train"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """One set of annotated text: its format (a name in `training.sources`), where it is, and how often it is read in
    the time in which a source of weight 1 is read once. ``{data_root}`` in a path stands for the config's key.

    In training it is read only between the shares `since` and `until` of the run, so that sources can follow each other."""

    format: str
    path: str
    weight: float = 1.0
    since: float = 0.0
    until: float = 1.0

    def problems(self) -> Iterator[str]:
        if self.format not in FORMATS:
            yield f"format: {self.format!r} is unknown; formats are {', '.join(FORMATS)}"
        if self.weight <= 0:
            yield f"weight: {self.weight} is not above 0; leave the source out instead"
        if not 0 <= self.since < self.until <= 1:
            yield f"since: {self.since} to until: {self.until} is no part of a run; 0.0 to 1.0 is the whole"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One fine-tuning run. Lengths and batch sizes are in tokens."""

    required: ClassVar[tuple[str, ...]] = ("train", "dev")
    """The lists of sources that must name one."""

    base_model: str
    """A folder, a Hub id, or ``random``, whose vocabulary comes from the training text."""
    output: str
    train: tuple[Source, ...]
    dev: tuple[Source, ...]
    data_root: str = "."
    random_encoder: RandomEncoder = field(default_factory=RandomEncoder)
    layers: int = 0
    """Layers of the model; more than the base model's: layers that at first change nothing are put between its own
    (`encoder.grow`). 0: as many as it has."""
    intermediate_size: int = 0
    """Units of each feed-forward layer of the model; more than the base model's: units that at first change nothing are
    put beside its own (`encoder.grow`). 0: as many as it has."""
    trained_positions: int = 0
    """How many positions the base model was trained for, if fewer than it has and than `max_length`: the others begin as
    these go on (`encoder.extend_positions`). 0: they stay as they are."""
    max_length: int = 256
    """The longest window, special tokens included; at most what the encoder's positions were trained for."""
    window_lengths: tuple[int, ...] = ()
    """Every text is cut into windows of each of these lengths; empty: only `max_length`."""
    line_feeds: bool = True
    """The vocabulary gets an entry for the end of a line, which BERT's tokenization drops (`tokenizer.add_line_feed`)."""
    batch_tokens: int = 4096
    """Tokens, padding included, that one process computes in one update; n processes together n times as many."""
    steps: int = 1000
    evaluations: int = 10
    """How often in the run the dev data are read, and a checkpoint is written."""
    patience: int = 4
    """Stop after so many evaluations without a better dev score."""
    learning_rate: float = 5e-5
    warmup_share: float = 0.05
    weight_decay: float = 0.01
    dropout: float = 0.1
    mask_share: float = 0.0
    """This share of the tokens is replaced by ``[MASK]``, so that spans are read from what stands around them too."""
    layer_decay: float = 1.0
    """Each layer's learning rate is this times that of the one above, the head's the full one (`training.rates`)."""
    average: float = 0.0
    """The decay of an average of the weights (`training.average`), which is what is scored and kept; 0: none."""
    adversarial: float = 0.0
    """A second pass in each step with the word embeddings moved so far against the model (`training.adversarial`)."""
    r_drop: float = 0.0
    """The weight of the divergence between two passes with different dropout (`training.loss`)."""
    focal: float = 0.0
    """The gamma of the focal loss (`training.loss`)."""
    partial_labels: bool = True
    """False: what a source does not annotate, or is in doubt of, counts as O, as where sets are simply mixed."""
    augment: Augmentation = field(default_factory=Augmentation)
    dtype: str = "auto"
    """What the matrices are multiplied in; the weights are float32. ``auto``: ``bfloat16`` where the hardware has it."""
    seed: int = 0

    def problems(self) -> Iterator[str]:
        yield from dtype_problems(self.dtype)
        for name in self.required:
            if not getattr(self, name):
                yield f"{name}: names no source; add a table [[{name}]] with format and path"
        for share in sorted({0.0, *(source.until for source in self.train)} - {1.0}):
            if self.train and not any(source.since <= share < source.until for source in self.train):
                yield f"train: from {share:.0%} of the run on no source is read; since and until leave a gap"
        if self.base_model == "random" and (self.layers or self.intermediate_size):
            yield "layers, intermediate_size: grow a base model; what random weights have is the table [random_encoder]"
        if self.trained_positions < 0:
            yield f"trained_positions: {self.trained_positions} is below 0, which is off"
        if self.base_model == "random" and self.trained_positions:
            yield "trained_positions: says what a base model was trained for, and random weights were for nothing"
        if not 16 <= self.max_length <= 512:
            yield f"max_length: {self.max_length} is not between 16 and 512 tokens"
        for length in self.window_lengths:
            if not 16 <= length <= self.max_length:
                yield f"window_lengths: {length} is not between 16 and max_length ({self.max_length})"
        if self.batch_tokens < self.max_length:
            yield f"batch_tokens: {self.batch_tokens} has no room for one window of max_length ({self.max_length})"
        for name in ("steps", "evaluations", "patience"):
            if getattr(self, name) < 1:
                yield f"{name}: {getattr(self, name)} is less than 1"
        for name in ("warmup_share", "dropout", "mask_share", "average"):
            if not 0 <= getattr(self, name) < 1:
                yield f"{name}: {getattr(self, name)} is not between 0 and 1"
        for name in ("adversarial", "r_drop", "focal"):
            if getattr(self, name) < 0:
                yield f"{name}: {getattr(self, name)} is below 0, which is off"
        if self.r_drop and not self.dropout:
            yield "r_drop: two passes without dropout are the same; set dropout above 0, or leave it out"
        if self.learning_rate <= 0:
            yield f"learning_rate: {self.learning_rate} is not above 0"
        if not 0 < self.layer_decay <= 1:
            yield f"layer_decay: {self.layer_decay} is not above 0 and at most 1; 1 is the same rate for all layers"


class TokenBatches(Sampler[list[int]]):
    """Exactly `steps` batches of row indices under a token budget, each source as often as its weight says while it is
    read: `spans` has the shares of the run between which that is, where it is not the whole.

    A pass over the sources is shuffled, cut into pools of fifty batches, each pool sorted by length; its batches come in
    random order. All of it follows from the seed, so a resumed run sees what an undisturbed one sees.

    Of n processes each takes every n-th row of a batch that has n times the budget: together they see what one process
    with that budget sees. A share can be one row over the budget, and the share of a batch of fewer than n rows empty.
    """

    def __init__(
        self, lengths: Sequence[Sequence[int]], weights: Sequence[float], budget: int, steps: int, seed: int,
        rank: int = 0, processes: int = 1, spans: Sequence[tuple[float, float]] = (),
    ) -> None:  # fmt: skip
        self._lengths, self._weights = [np.asarray(part) for part in lengths], weights
        self._spans = [
            (round(since * steps), round(until * steps)) for since, until in spans or [(0, 1)] * len(lengths)
        ]
        self._budget, self._steps, self._seed = budget * processes, steps, seed
        self._rank, self._processes = rank, processes

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng(self._seed)
        for start, end in itertools.pairwise(sorted({step for span in self._spans for step in span})):
            read = [since <= start and end <= until for since, until in self._spans]
            for batch in itertools.islice(self._passes(read, generator), end - start):
                yield batch[self._rank :: self._processes]

    def _passes(self, read: Sequence[bool], generator: np.random.Generator) -> Iterator[list[int]]:
        """Passes without end over the sources that are read."""
        lengths = np.concatenate(self._lengths)
        mean = np.concatenate([part for part, is_read in zip(self._lengths, read, strict=True) if is_read]).mean()
        sizes = [len(part) for part in self._lengths]
        first = np.cumsum([0, *sizes[:-1]])
        while True:
            order = np.concatenate(
                [
                    start + _repeat(size, weight, generator)
                    for start, size, weight, is_read in zip(first, sizes, self._weights, read, strict=True)
                    if is_read
                ]
            )
            order = generator.permutation(order)
            pool = max(1, int(50 * self._budget / mean))
            for start in range(0, len(order), pool):
                rows = order[start : start + pool]
                batches = list(make_batches(lengths[rows].tolist(), self._budget))
                for index in generator.permutation(len(batches)):
                    yield rows[batches[index]].tolist()


def _repeat(size: int, weight: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Indices below `size`, each floor(weight) times, and a random share of them once more for the rest."""
    whole = int(weight)
    extra = generator.permutation(size)[: round(size * (weight - whole))]
    return np.concatenate([np.tile(np.arange(size), whole), extra])


@dataclass(frozen=True)
class Collator:
    """Rows to a padded batch."""

    pad_id: int
    mask_id: int

    def __call__(self, rows: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        rows = rows or [{"input_ids": [self.mask_id], "allowed": [0]}]  # a process whose share is empty keeps step
        width = max(len(row["input_ids"]) for row in rows)
        input_ids = torch.full((len(rows), width), self.pad_id, dtype=torch.long)
        allowed = torch.zeros((len(rows), width), dtype=torch.long)
        for index, row in enumerate(rows):
            length = len(row["input_ids"])
            input_ids[index, :length] = torch.as_tensor(row["input_ids"])
            allowed[index, :length] = torch.as_tensor(row["allowed"])
        mask = (input_ids != self.pad_id).long()
        return {"input_ids": input_ids, "attention_mask": mask, "allowed": allowed}


def hide(inputs: dict[str, torch.Tensor], mask_id: int, share: float) -> dict[str, torch.Tensor]:
    """The batch with a random share of the tokens that count replaced by `mask_id`."""
    hidden = (torch.rand(inputs["input_ids"].shape) < share).to(inputs["input_ids"].device) & (inputs["allowed"] != 0)
    return inputs | {"input_ids": inputs["input_ids"].masked_fill(hidden, mask_id)}


class PartialLabelTrainer(Trainer):
    """The Trainer with the partial-label loss, token-budget batches, and the dev score read end to end."""

    def __init__(self, *, config: TrainConfig, batches: TokenBatches, reader: Reader, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._config, self._batches, self.reader = config, batches, reader
        self._mask_id = cast(Collator, self.data_collator).mask_id
        model: Any = self.model
        self.average = WeightAverage(model, config.average) if config.average else None
        if self.average:
            self.add_callback(_AverageSteps(self.average))

    def create_optimizer(self, *_: Any) -> torch.optim.Optimizer:
        if self.optimizer is None and self._config.layer_decay != 1:
            model: Any = self.model
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, model)
            rates = self._config.learning_rate, self._config.layer_decay
            decayed = self.get_decay_parameter_names(model)
            self.optimizer = kind(parameter_groups(model, *rates, self._config.weight_decay, decayed), **options)
        return super().create_optimizer()

    def get_train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.train_dataset, batch_sampler=self._batches, collate_fn=self.data_collator)  # type: ignore[arg-type]

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        if self._config.mask_share:
            # Here and not where batches are made: a resumed run makes its first one before it has its checkpoint's random
            # state back, and would hide other tokens than an undisturbed one.
            inputs = hide(inputs, self._mask_id, self._config.mask_share)
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self._config.adversarial:
            # The gradients of the two passes add up. After the first they are those of all processes together, so that
            # each process moves its embeddings to the same place.
            embeddings = self.accelerator.unwrap_model(model).get_input_embeddings().weight
            with perturbed(embeddings, self._config.adversarial):
                super().training_step(model, inputs, num_items_in_batch)
        return loss

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        allowed = inputs.pop("allowed")
        if self._config.r_drop:  # two passes in one: every row a second time, with its own dropout
            inputs = {name: tensor.repeat(2, 1) for name, tensor in inputs.items()}
        outputs = model(**inputs)
        # The gradients of the processes are averaged, so each divides by the mean number of tokens that count; by its
        # own number, the tokens of a process that has few of them would weigh more than the others'.
        count = self.accelerator.reduce((allowed != 0).sum().float(), "mean")
        passes = outputs.logits.split(len(allowed))
        losses = [partial_label_loss(logits, allowed, count, self._config.focal) for logits in passes]
        loss = torch.stack(losses).mean()  # the sum, in the paper: a learning rate means the same here with and without
        if self._config.r_drop:
            loss = loss + self._config.r_drop * divergence(passes[0], passes[1], allowed, count)
        return (loss, outputs) if return_outputs else loss

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        super().save_model(output_dir, _internal_call)
        if self.average and output_dir and self.args.should_save:
            self.average.save(Path(output_dir))

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        mine = cast("Sequence[Example]", self.eval_dataset)[self.args.process_index :: self.args.world_size]
        with self.average.applied() if self.average else nullcontext():
            counts = span_counts(judge(self.reader, mine)).sum(axis=0, keepdims=True)
        # One score for all: processes that disagree on which checkpoint is the best would not stop together.
        total = self.accelerator.reduce(torch.from_numpy(counts).to(self.args.device), "sum")
        score = score_of(total.cpu().numpy()).f1
        metrics = {"eval_micro_f1": score, "epoch": self.state.global_step / max(1, self.state.max_steps)}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class _AverageSteps(TrainerCallback):
    """Takes the weights into their average after each step."""

    def __init__(self, average: WeightAverage) -> None:
        self._average = average

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._average.update(state.global_step)


class LiveModel:
    """A model in training, as `renshi.Extractor` wants one: the dev score comes from the code that users run."""

    name = "in training"
    calibration = Calibration()

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerFast, max_tokens: int, dtype: str = "auto") -> None:
        self._model, self._dtype = model, dtype
        self.tokenizer = tokenizer.backend_tokenizer
        self.max_tokens = max_tokens

    @property
    def device(self) -> str:
        return str(self._model.device)

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        training = self._model.training
        self._model.eval()
        ids, real = (torch.from_numpy(array).to(self._model.device) for array in pad_rows(rows, pad_id))
        bfloat16 = uses_bfloat16(self._dtype, self.device)
        with torch.inference_mode(), torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=bfloat16):
            logits = self._model(input_ids=ids, attention_mask=real.long()).logits[real]
        self._model.train(training)
        return logits.float().cpu().numpy()


def dev_score(examples: Sequence[Example], extractor: Extractor) -> float:
    """Strict micro F1 of spans, end to end from raw text, over the labels that each example annotates."""
    return score_of(span_counts(judge(extractor, examples))).f1


def _is_first() -> bool:
    """Whether this is the process that writes and reports: the only one, or the first of torchrun's."""
    return int(os.environ.get("RANK", 0)) == 0


def _say(report: object) -> None:
    if _is_first():
        print(report, file=sys.stderr)


def read_sources(sources: Sequence[Source], data_root: str) -> list[list[Example]]:
    """The examples of each source; what could not be read is reported on standard error. Raises `SourceError`."""
    found = []
    for source in sources:
        examples, report = read_source(source.format, Path(source.path.replace("{data_root}", data_root)))
        _say(report)
        found.append(examples)
    return found


def align_sources(
    config: TrainConfig, sources: Sequence[list[Example]], tokenizer: PreTrainedTokenizerFast, labels: Sequence[str]
) -> list[list[Row]]:
    """The rows of each source, windows of every length of the config; what could not be aligned is reported."""
    aligned = []
    for source, examples in zip(config.train, sources, strict=True):
        if not config.partial_labels:
            examples = [replace(e, doubtful=(), annotated=frozenset(labels)) for e in examples]
        rows: list[Row] = []
        for length in config.window_lengths or (config.max_length,):
            overlap = (length - 2) // 8
            encoder = Encoder(tokenizer.backend_tokenizer, config.max_length, overlap)
            some, report = align(examples, encoder, length - 2, overlap, labels)
            _say(f"{source.path}, windows of {length}: {report}")
            rows += some
        aligned.append(rows)
    return aligned


def augment_sources(
    config: TrainConfig, sources: Sequence[list[Example]]
) -> tuple[Sequence[list[Example]], list[float]]:
    """The sources with their augmented copies, and the weights with which each is read as often as without."""
    options, weights = config.augment, [source.weight for source in config.train]
    if not options.copies:
        return sources, weights
    gazetteer, found = Gazetteer(example for examples in sources for example in examples), []
    for index, (source, examples) in enumerate(zip(config.train, sources, strict=True)):
        if source.format in options.formats:
            weights[index] /= options.copies + 1
            examples = [*examples, *augment(examples, gazetteer, options, config.seed)]
        found.append(examples)
    return found, weights


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from: windows of tokens with the tags allowed for each, and for each source the windows' lengths
    and how often it is read. It follows from the config's `DATA_KEYS`, where the files stay what they are."""

    windows: Dataset
    lengths: list[list[int]]
    weights: list[float]


DATA_KEYS = (
    "base_model", "train", "data_root", "max_length", "window_lengths", "line_feeds", "partial_labels", "augment", "seed",
)  # fmt: skip
"""The keys of a `TrainConfig` on which its training data depend."""


def prepare(
    config: TrainConfig, sources: Sequence[list[Example]], tokenizer: PreTrainedTokenizerFast, labels: Sequence[str]
) -> TrainingData:
    """The training data of `config`: the examples of its sources with their copies, aligned."""
    sources, weights = augment_sources(config, sources)
    rows = align_sources(config, sources, tokenizer, labels)
    windows = Dataset.from_dict(
        {
            "input_ids": [row.input_ids for part in rows for row in part],
            "allowed": [row.allowed for part in rows for row in part],
        }
    )
    return TrainingData(windows, [[len(row.input_ids) for row in part] for part in rows], weights)


def load_base(
    config: TrainConfig, sources: Sequence[list[Example]], labels: Sequence[str]
) -> tuple[Any, PreTrainedTokenizerFast]:
    """The encoder with a new classification head for the tags of `labels`, and its tokenizer."""
    tags = bio_tags(labels)
    head: dict[str, Any] = {
        "num_labels": len(tags),
        "id2label": dict(enumerate(tags)),
        "label2id": {t: i for i, t in enumerate(tags)},
    }
    dropout: dict[str, Any] = {"hidden_dropout_prob": config.dropout, "attention_probs_dropout_prob": 0.0}
    if config.base_model == "random":
        tokenizer = from_vocabulary(build_vocabulary(example.text for examples in sources for example in examples))
        shape = config.random_encoder
        model: Any = BertForTokenClassification(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=shape.hidden_size,
                num_hidden_layers=shape.num_hidden_layers,
                num_attention_heads=shape.num_attention_heads,
                intermediate_size=4 * shape.hidden_size,
                **head,
                **dropout,
            )
        )
    else:
        tokenizer = load_fast_tokenizer(config.base_model)
        model = AutoModelForTokenClassification.from_pretrained(
            config.base_model,
            dtype=torch.float32,
            attn_implementation="eager",
            ignore_mismatched_sizes=True,  # a base that was fine-tuned for other tags gives its encoder, not its head
            **head,
            **dropout,
        )
        if AutoConfig.from_pretrained(config.base_model).id2label != head["id2label"]:
            # As many tags perhaps, but others.
            torch.nn.init.normal_(model.classifier.weight, std=model.config.initializer_range)
            torch.nn.init.zeros_(model.classifier.bias)
        grow(model, config.layers, config.intermediate_size)
        if config.trained_positions:
            extend_positions(model, config.trained_positions)
    if config.line_feeds:
        tokenizer = add_line_feed(model, tokenizer)
    tokenizer.model_max_length = config.max_length
    return model, tokenizer


def train(config: TrainConfig, prepare: Callable[..., TrainingData] = prepare) -> Path:
    """Run `config`; returns the model folder. `prepare` is another function of the same kind, for who trains often."""
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    if _is_first():
        (output / "config.toml").write_text(format_config(config), encoding="utf-8")
    sources = read_sources(config.train, config.data_root)
    dev = [example for examples in read_sources(config.dev, config.data_root) for example in examples]
    trainer, tokenizer = fit(config, sources, dev, prepare=prepare)
    return _finish(trainer, tokenizer, dev, config) if trainer.is_world_process_zero() else output / "model"


def fit(
    config: TrainConfig,
    sources: Sequence[list[Example]],
    dev: Sequence[Example],
    labels: Sequence[str] = LABELS,
    prepare: Callable[..., TrainingData] = prepare,
) -> tuple[PartialLabelTrainer, PreTrainedTokenizerFast]:
    """Train on the examples of each of the config's sources, and choose the checkpoint on `dev`; both in `labels`.

    Checkpoints are written under the config's output; where there are any, the run goes on from the last.
    """
    set_seed(config.seed)
    output = Path(config.output)
    model, tokenizer = load_base(config, sources, labels)
    data = prepare(config, sources, tokenizer, labels)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    arguments = TrainingArguments(
        output_dir=str(output / "checkpoints"),
        max_steps=config.steps,
        learning_rate=config.learning_rate,
        warmup_steps=int(config.warmup_share * config.steps),
        weight_decay=config.weight_decay,
        adam_beta2=0.98,
        use_cpu=device == "cpu",
        bf16=uses_bfloat16(config.dtype, device),
        eval_strategy="steps",
        eval_steps=-(-config.steps // config.evaluations),
        save_steps=-(-config.steps // config.evaluations),
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_micro_f1",
        greater_is_better=True,
        logging_steps=max(1, config.steps // 100),
        remove_unused_columns=False,
        dataloader_num_workers=0,
        report_to=[],
        seed=config.seed,
        disable_tqdm=not sys.stderr.isatty(),
    )
    batches = TokenBatches(
        data.lengths, data.weights, config.batch_tokens, config.steps, config.seed,
        arguments.process_index, arguments.world_size,
        [(source.since, source.until) for source in config.train],
    )  # fmt: skip
    trainer = PartialLabelTrainer(
        config=config,
        model=model,
        args=arguments,
        train_dataset=data.windows,
        eval_dataset=dev,
        data_collator=Collator(tokenizer.pad_token_id, tokenizer.mask_token_id),
        callbacks=[EarlyStoppingCallback(config.patience)],
        batches=batches,
        reader=Reader(LiveModel(model, tokenizer, config.max_length, config.dtype), labels),
    )
    checkpoint = _last_checkpoint(output / "checkpoints")
    if trainer.average and checkpoint:
        trainer.average.load(checkpoint)
    set_seed(config.seed + arguments.process_index)  # dropout and hidden tokens: each process its own
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.average:
        trainer.average.load(Path(cast(str, trainer.state.best_model_checkpoint)))
        trainer.average.apply()
    return trainer, tokenizer


def _last_checkpoint(folder: Path) -> Path | None:
    """The last one that is whole: its state is written behind all else."""
    states = sorted(
        folder.glob("checkpoint-*/trainer_state.json"), key=lambda path: int(path.parent.name.split("-")[1])
    )
    whole = [path.parent for path in states if path.read_text(encoding="utf-8").endswith("}\n")]
    return whole[-1] if whole else None


def _finish(
    trainer: PartialLabelTrainer, tokenizer: PreTrainedTokenizerFast, dev: Sequence[Example], config: TrainConfig
) -> Path:
    """Write the model folder, calibrated on the dev data, its dev score and the learning curves."""
    output = Path(config.output)
    folder = output / "model"
    model: Any = trainer.model
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    calibration = calibrate(folder, dev)
    history = trainer.state.log_history
    metrics: dict[str, Any] = {
        "dev_micro_f1": round(dev_score(dev, Extractor.from_pretrained(folder)), 4),
        "best_dev_micro_f1_in_training": round(trainer.state.best_metric or 0.0, 4),
        "calibration": calibration.to_dict(),
        "steps": trainer.state.global_step,
        "history": [row for row in history if "eval_micro_f1" in row],
    }
    (folder / "README.md").write_text(_card(config, metrics["dev_micro_f1"]), encoding="utf-8")
    (output / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    draw_learning_curves(history, output / "learning-curves.png")
    print(f"{folder}: dev micro F1 {metrics['dev_micro_f1']:.4f}")
    return folder


def _card(config: TrainConfig, dev_micro_f1: float) -> str:
    """The card that a run leaves in its model folder: what a later reader cannot find out from the weights."""
    sources = "\n".join(
        f"- {source.format}, `{Path(source.path).name}`, weight {source.weight}" for source in config.train
    )
    return f"""---
language: zh
library_name: transformers
pipeline_tag: token-classification
tags: [renshi]
---

A token classifier with the labels of renshi (persons, titles, organizations, twelve types of events), fine-tuned from
`{config.base_model}` by `python -m training.train` with seed {config.seed}.
Strict micro F1 on its dev data, end to end: {dev_micro_f1:.4f}.

Trained on:
{sources}
"""


def draw_learning_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Training loss and dev F1 over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    losses = figure.add_subplot(xlabel="step", ylabel="training loss", yscale="log")
    losses.plot(*_series(history, "loss"), color="#0072b2", label="training loss")
    scores = losses.twinx()
    scores.set_ylabel("dev micro F1 (strict)")
    scores.plot(*_series(history, "eval_micro_f1"), color="#d55e00", marker="o", label="dev micro F1")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(path, dpi=150)


def _series(history: Sequence[dict[str, Any]], key: str) -> tuple[list[int], list[float]]:
    rows = [row for row in history if key in row]
    return [row["step"] for row in rows], [row[key] for row in rows]


def main(arguments: Sequence[str] | None = None) -> int:
    config = main_config(TrainConfig, __doc__, arguments)
    try:
        train(config)
    except (SourceError, ConfigError, OSError) as error:  # data or a base model that is not there, or does not fit
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
