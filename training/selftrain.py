"""Silver labels: a teacher reads raw text, and what it is sure of becomes a training source.

    python -m training.selftrain configs/selftrain.toml
    python -m training.train configs/default.toml      # with one more table:
                                                       # [[train]] format = "silver", path = "runs/silver", weight = 0.5

The teacher is a model, or several whose probabilities are averaged. Of each character it says how probable each label is
there, and the source says to training

- *this span*, where the teacher's calibrated score for it is at least `sure`, or where it found a person's or an
  organization's name that is so sure elsewhere in the same text;
- *O or one of these labels*, where a label has at least the probability `possible` without such a span, and where such
  a name stands and was passed over: the teacher misses more than it invents, and all of that would be taught as O;
- *O* elsewhere.

Documents are drawn by the seed, so many from each corpus that they make up its share of `characters`; of a long one an
excerpt is read, whole paragraphs, since titles and the sentences around them are what the model will see. A document
that shares a sentence of ten characters and more with a set in `[[never]]` is left out whole, and so is a line that
stands there: annotated pages come from the same places as the corpora.

The output folder gets one ``.jsonl`` for each `part` characters, whole or not there, so that a killed run goes on with
the next when its command is given again; and ``result.json``, which says what was kept, and how the teacher's labels
compare with those of people on the sets in `[[check]]`.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renshi.extractor import Extractor
from renshi.labels import LABELS
from renshi.model import Calibration, ExtractorError, Model, load_model
from renshi.parts import written_whole
from renshi.records import Document, Entity, Failure
from renshi.repeats import NAMES, Evidence
from renshi.text import Normalized
from training import models
from training.config import main_config
from training.corpora import Corpus, HubDataset, corpora_problems, documents, list_corpora
from training.overlaps import plain, sentences
from training.runs import RunError, begin, finish, finished
from training.sources import Example, SourceError, read_native
from training.train import Source, read_sources

__all__ = ["Ensemble", "Never", "SelftrainConfig", "Teacher", "check", "choose", "main", "selftrain", "to_example"]


@dataclass(frozen=True, kw_only=True)
class SelftrainConfig:
    """One silver set. Lengths are in characters, which are nearly all a token each."""

    teachers: tuple[str, ...]
    """Model folders or Hub ids, ``default`` for the packaged model; of several the probabilities are averaged."""
    output: str
    data_root: str = "."
    corpora: dict[str, float] = field(default_factory=dict)
    """Files under `data_root`, each with its share of `characters`."""
    hub: tuple[HubDataset, ...] = ()
    never: tuple[Source, ...] = ()
    """Annotated sets, or plain pages (format ``markup``), that nothing may be taken from."""
    check: tuple[Source, ...] = ()
    """Annotated sets on which the teacher's labels are compared with people's."""
    characters: int = 3_000_000
    """How much text is drawn; what is left out afterwards is not replaced."""
    excerpt: int = 1200
    """At most so much of one document (one paragraph more, where the first is longer)."""
    longest_paragraph: int = 2000
    """A longer one is skipped: lists, and pages whose line breaks were lost."""
    part: int = 100_000
    sure: float = 0.8
    possible: float = 0.05
    seed: int = 0

    def problems(self) -> Iterator[str]:
        if not self.teachers:
            yield 'teachers: names no model; for the packaged one write teachers = ["default"]'
        yield from corpora_problems(self.corpora, self.hub)
        for name in ("characters", "excerpt", "longest_paragraph", "part"):
            if getattr(self, name) < 1:
                yield f"{name}: {getattr(self, name)} is less than 1"
        if not 0 < self.possible < self.sure <= 1:
            yield f"possible, sure: {self.possible} and {self.sure} are not 0 < possible < sure <= 1"


class Ensemble:
    """Models as one, for `Extractor`: the logarithm of the mean of their calibrated probabilities."""

    calibration = Calibration()

    def __init__(self, models: Sequence[Model], names: Sequence[str] = ()) -> None:
        first = models[0]
        for name, model in zip(names, models, strict=False):
            if model.tokenizer.get_vocab() != first.tokenizer.get_vocab():
                raise ExtractorError(
                    f"{name}: has another vocabulary than {names[0]}; teachers that are averaged must share theirs"
                )
        self._models = models
        self.name = "+".join(model.name for model in models)
        self.tokenizer, self.device = first.tokenizer, first.device
        self.max_tokens = min(model.max_tokens for model in models)

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        mean = sum(_softmax(model.logits(rows, pad_id) / model.calibration.temperature) for model in self._models)
        log: NDArray[np.float32] = np.log(np.maximum(mean / len(self._models), 1e-12)).astype(np.float32)
        return log


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers: NDArray[np.float32] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@dataclass(frozen=True, slots=True, eq=False)
class Opinion:
    """What the teacher thinks of a document: entities in the normalized text, with scores; and for each character of it
    the probability of each label, (characters, labels) float32."""

    id: str
    normalized: Normalized
    entities: Sequence[Entity]
    probability: NDArray[np.float32]


class Teacher(Extractor):
    """The way from raw text to entities that users have, and the probabilities behind them."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, min_score=0.0)

    def opinions(self, documents: Iterable[Document]) -> Iterator[Opinion | Failure]:
        """One for each document, in order; memory is bounded by a chunk of them. Entities are as each window has them:
        what a document's other mentions say of a name is `to_example`'s to judge, more strictly than `renshi.repeats`."""
        for chunk in self._chunks(documents):
            for item, spans, seen in zip(chunk.items, *self._run(chunk), strict=True):
                if isinstance(item, Failure):
                    yield item
                    continue
                probability = np.zeros((len(item.normalized.text), len(self.labels)), dtype=np.float32)
                for part in seen:
                    _place(probability, part)
                entities = self._entities(item.normalized, spans)
                yield Opinion(item.document.id, item.normalized, entities, probability)

    def _token_probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.floating]:
        """(tokens, labels)."""
        tags = _softmax(logits)
        return tags[:, 1::2] + tags[:, 2::2]


def _place(probability: NDArray[np.float32], of_tokens: Evidence) -> None:
    """Write what is said of tokens to their characters."""
    sizes = of_tokens.end - of_tokens.start
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    probability[np.repeat(of_tokens.start, sizes) + within] = np.repeat(of_tokens.probability, sizes, axis=0)


def to_example(opinion: Opinion, sure: float, possible: float) -> Example:
    """The partial labels of the module's docstring, in the raw text."""
    text = opinion.normalized.text
    known = {(e.text, e.label) for e in opinion.entities if e.score >= sure and e.label in NAMES and len(e.text) > 1}
    certain = [e for e in opinion.entities if e.score >= sure or (e.text, e.label) in known]
    taken = np.zeros(len(text), dtype=bool)
    for entity in certain:
        taken[entity.start : entity.end] = True
    maybe = (opinion.probability >= possible) & ~taken[:, None]
    for mention, label in known:
        start = text.find(mention)
        while start >= 0:
            if not taken[start : start + len(mention)].any():
                maybe[start : start + len(mention), LABELS.index(label)] = True
            start = text.find(mention, start + 1)
    doubtful = [
        _to_raw(opinion.normalized, start, end, label, 0.0)
        for number, label in enumerate(LABELS)
        for start, end in _runs(maybe[:, number])
    ]
    entities = [_to_raw(opinion.normalized, e.start, e.end, e.label, round(e.score, 4)) for e in certain]
    return Example(opinion.id, opinion.normalized.raw, entities, doubtful, frozenset(LABELS))


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _to_raw(normalized: Normalized, start: int, end: int, label: str, score: float) -> Entity:
    start, end = normalized.to_raw(start, end)
    return Entity(start, end, normalized.raw[start:end], label, score)


class Never:
    """Text that nothing may be taken from, compared as `training.overlaps` does."""

    def __init__(self, texts: Iterable[str]) -> None:
        texts = list(texts)
        self._lines = {plain(line) for text in texts for line in text.split("\n")}
        self._sentences = {sentence for text in texts for sentence in sentences(text)}

    def has_line(self, line: str) -> bool:
        return plain(line) in self._lines

    def shares_sentence(self, text: str) -> bool:
        return any(sentence in self._sentences for sentence in sentences(text))


def read_never(sources: Sequence[Source], data_root: str) -> Never:
    """Raises SourceError, also where a file of them cannot be read: it would not be recognized in the corpora."""
    texts = []
    for source in sources:
        found, report = read_native(source.format, Path(source.path.replace("{data_root}", data_root)))
        if report.skipped or not found:
            raise SourceError(
                f"{report}\nnever: must be read whole, so that nothing of it is trained on; mend the files"
            )
        texts += [text for text, _ in found]
    return Never(texts)


def _draw(seed: int, *name: object) -> float:
    """In [0, 1), of the seed and a name: independent of what else is drawn."""
    digest = hashlib.blake2b("\n".join(map(str, (seed, *name))).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _excerpt(lines: Sequence[str], config: SelftrainConfig, draw: float) -> list[str]:
    """Paragraphs that stand together, `excerpt` characters at most; where there are more, from a place that `draw` says."""
    lines = [line for line in lines if len(line) <= config.longest_paragraph]
    behind = np.cumsum([0, *(len(line) for line in lines)])
    possible = [start for start in range(len(lines)) if behind[-1] - behind[start] >= config.excerpt] or [0]
    start = possible[int(draw * len(possible))]
    end = int(np.searchsorted(behind, behind[start] + config.excerpt, side="right")) - 1
    return list(lines[start : max(end, start + 1)])


def choose(
    corpus: Corpus, characters: int, never: Never, config: SelftrainConfig, left_out: Counter[str]
) -> Iterator[Document]:
    """The documents drawn from one corpus, in its order; what was drawn and may not be read is counted in `left_out`.

    The corpus is read twice, since how many of its documents are drawn depends on how much it has; memory holds a pair of
    numbers for each."""
    sizes = [
        (_draw(config.seed, corpus.name, number), sum(map(len, _excerpt(lines, config, 0.0))))
        for number, lines in documents(corpus.lines())
    ]
    total, threshold = 0, 0.0
    for draw, size in sorted(sizes):
        if total >= characters:
            break
        total, threshold = total + size, draw
    for number, lines in documents(corpus.lines()):
        if _draw(config.seed, corpus.name, number) > threshold:
            continue
        if never.shares_sentence("\n".join(lines)):
            left_out["documents that share a sentence with a set in never"] += 1
            continue
        lines = _excerpt(lines, config, _draw(config.seed, corpus.name, number, "excerpt"))
        kept = [line for line in lines if not never.has_line(line)]
        left_out["lines that stand in a set in never"] += len(lines) - len(kept)
        if kept:
            yield Document(f"{corpus.name}:{number}", "\n".join(kept))


def _parts(documents: Iterable[Document], characters: int) -> Iterator[list[Document]]:
    part, size = list[Document](), 0
    for document in documents:
        part.append(document)
        size += len(document.text)
        if size >= characters:
            yield part
            part, size = [], 0
    if part:
        yield part


def _write_part(path: Path, examples: Iterable[Example]) -> None:
    """The whole file or none."""
    with written_whole(path, path.with_name(path.name + ".part")) as file:
        for example in examples:
            if example.entities or example.doubtful:
                row = {
                    "id": example.id,
                    "text": example.text,
                    "entities": [_fields(entity, "start", "end", "label", "score") for entity in example.entities],
                    "doubtful": [_fields(entity, "start", "end", "label") for entity in example.doubtful],
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _fields(entity: Entity, *names: str) -> dict[str, Any]:
    return {name: getattr(entity, name) for name in names}


def _count(files: Iterable[Path]) -> dict[str, Any]:
    """What some parts hold."""
    counts: Counter[str] = Counter()
    spans: Counter[str] = Counter()
    for file in files:
        with file.open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                covered = np.zeros(len(row["text"]), dtype=bool)
                for span in row["doubtful"]:
                    covered[span["start"] : span["end"]] = True
                counts["examples"] += 1
                counts["characters"] += len(row["text"])
                counts["doubtful"] += int(covered.sum())
                spans.update(span["label"] for span in row["entities"])
    return {
        "examples": counts["examples"],
        "characters": counts["characters"],
        "doubtful_share": round(counts["doubtful"] / max(1, counts["characters"]), 4),
        "spans": {label: spans[label] for label in LABELS if spans[label]},
    }


def check(teacher: Teacher, examples: Sequence[Example], config: SelftrainConfig) -> dict[str, dict[str, float]]:
    """The silver labels of annotated text against its own.

    Returns for each group of labels (PER, TITLE, ORG, EVENT): how many spans are annotated ("gold"); "sure": how many
    silver spans there are, and the share of them that are right; and what training would be told of the annotated ones,
    in shares: "taught" as they are, "allowed" (no sure span stands on them, and every character may bear the label), or
    "denied".
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    opinions = teacher.opinions(Document(example.id, example.text) for example in examples)
    for example, opinion in zip(examples, opinions, strict=True):
        if isinstance(opinion, Failure):
            raise ExtractorError(opinion.message)
        silver = to_example(opinion, config.sure, config.possible)
        gold = {(e.start, e.end, e.label) for e in example.entities}
        sure = {(e.start, e.end, e.label) for e in silver.entities}
        for span in sure:
            counts[_group(span[2])].update(sure=1, right=span in gold)
        blank = np.array([char.isspace() for char in example.text])  # has no token
        free = dict.fromkeys(LABELS, blank) | {e.label: blank.copy() for e in silver.doubtful}
        for entity in silver.doubtful:
            free[entity.label][entity.start : entity.end] = True
        for start, end, label in gold:
            is_taught = (start, end, label) in sure
            on_sure = any(a < end and start < b for a, b, _ in sure)
            is_allowed = not on_sure and bool(free[label][start:end].all())
            counts[_group(label)].update(gold=1, taught=is_taught, allowed=is_allowed and not is_taught)
    return {
        group: {
            "gold": row["gold"],
            "sure": row["sure"],
            "right": round(row["right"] / max(1, row["sure"]), 4),
            "taught": round(row["taught"] / max(1, row["gold"]), 4),
            "allowed": round(row["allowed"] / max(1, row["gold"]), 4),
            "denied": round(1 - (row["taught"] + row["allowed"]) / max(1, row["gold"]), 4),
        }
        for group, row in sorted(counts.items())
    }


def _group(label: str) -> str:
    return label.partition(".")[0]


def load_teacher(names: Sequence[str]) -> Teacher:
    """Raises ExtractorError."""
    folders = [models.find(name) for name in names]
    return Teacher(Ensemble([load_model(f) for f in folders], names))


def selftrain(config: SelftrainConfig) -> dict[str, Any]:
    """Make the silver set; returns the result, which stands in its folder too."""
    result = finished(config)
    if result is not None:
        return result
    output, corpora = begin(config), list_corpora(config.corpora, config.hub, config.data_root)
    never = read_never(config.never, config.data_root)
    teacher = load_teacher(config.teachers)
    result = {"teachers": list(config.teachers), "check": {}, "corpora": {}}
    for source, examples in zip(config.check, read_sources(config.check, config.data_root), strict=True):
        result["check"][source.path] = table = check(teacher, examples, config)
        for group, row in table.items():
            _say(f"{source.path}, {group}: " + ", ".join(f"{key} {value:,}" for key, value in row.items()))
    shares = sum(corpus.weight for corpus in corpora)
    for corpus in corpora:
        left_out: Counter[str] = Counter()
        chosen = choose(corpus, round(config.characters * corpus.weight / shares), never, config, left_out)
        files, drawn = list[Path](), 0
        for number, part in enumerate(_parts(chosen, config.part)):
            files.append(output / f"{corpus.name}-{number:04}.jsonl")
            drawn += len(part)
            if files[-1].exists():
                continue
            size, begun = sum(len(document.text) for document in part), time.monotonic()
            _write_part(files[-1], _examples(teacher.opinions(part), config))
            _say(f"{files[-1].name}: {size:,} characters, {size / (time.monotonic() - begun):,.0f} a second")
        counts = _count(files)
        left_out["documents that could not be read, or in which nothing was found"] = drawn - counts["examples"]
        result["corpora"][corpus.name] = {**counts, "left_out": dict(left_out)}
    finish(config, result)
    return result


def _examples(opinions: Iterable[Opinion | Failure], config: SelftrainConfig) -> Iterator[Example]:
    for opinion in opinions:
        if isinstance(opinion, Failure):
            _say(opinion.message)
        else:
            yield to_example(opinion, config.sure, config.possible)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    config = main_config(SelftrainConfig, __doc__, arguments)
    try:
        result = selftrain(config)
    except (ExtractorError, RunError, SourceError, ValueError, OSError) as error:  # ValueError: a damaged corpus
        print(error, file=sys.stderr)
        return 2
    for name, row in result["corpora"].items():
        print(
            f"{name}: {row['examples']:,} examples, {row['characters']:,} characters, {sum(row['spans'].values()):,} sure "
            f"spans, {row['doubtful_share']:.1%} of the characters doubtful"
        )
        for reason, number in row["left_out"].items():
            print(f"  {number:,} {reason}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
