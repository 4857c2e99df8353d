"""From raw texts to records: the whole way, in one screen.

from renshi import Extractor

extractor = Extractor.from_pretrained()
for record in extractor.extract(["省学会会长王进龙出席成立大会。"]):
    print(record.entities, record.roles, record.event_types)
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from renshi.batches import make_batches
from renshi.borders import pair_marks
from renshi.columns import cut_at_columns
from renshi.decode import decode, doubt, first_tokens
from renshi.encode import Encoded, Encoder
from renshi.events import document_event_types
from renshi.labels import LABELS
from renshi.markup import on_one_line
from renshi.merge import merge_spans, to_raw_entities
from renshi.model import ExtractorError, Model, load_model
from renshi.priors import doubt_single_characters, hold_at_line_feeds
from renshi.records import Document, Entity, EventType, Failure, Record, Role, Roster
from renshi.repeats import Evidence, evidence, find_repeats
from renshi.roles import find_roles
from renshi.text import Normalized, normalize
from renshi.windows import Window, split_windows

__all__ = ["Extractor", "ExtractorError", "report", "without_strays"]

_BATCH_TOKENS = {"cpu": 4096, "cuda": 65536}
_CHUNK_BATCHES = 32
"""How many batches' worth of characters are prepared at once: the memory's bound, and the pool for like lengths. The first
chunks are smaller, so that the first records come soon."""
_DECODED_TOKENS = 65536
"""How many tokens' logits are decoded at once: enough that NumPy's calls cost nothing, and 8 MB."""
_OVERLAP_SHARE = 8  # windows that cut a sentence share an eighth of their length: 32 characters of 254


@dataclass(frozen=True, slots=True)
class _Prepared:
    document: Document
    normalized: Normalized
    windows: Sequence[Window]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Documents, and the rows that the model is to read of them. What stands in several windows, word for word (the same
    news on two pages), is one text, read once."""

    items: Sequence[_Prepared | Failure]
    owners: Sequence[Sequence[tuple[int, Window]]]  # of each text: the items and windows that it stands in
    rows: Sequence[Encoded]  # of all texts


class Extractor:
    """Reads persons, titles, organizations and events in documents, and who holds which post where."""

    labels: Sequence[str] = LABELS
    """What the model's tags stand for. Every model folder has these; `training.reader` puts those of a public set here."""
    reads_pages = True
    """Whether what is known of renshi's labels on pages is used (`renshi.priors`, `renshi.repeats`); a public set has
    other labels."""

    def __init__(self, model: Model, *, batch_tokens: int | None = None, min_score: float | None = None) -> None:
        if batch_tokens is not None and (not isinstance(batch_tokens, int) or batch_tokens < 1):
            raise ExtractorError(f"batch_tokens {batch_tokens!r} is not a positive number of tokens")
        if min_score is not None and not (isinstance(min_score, (int, float)) and 0 <= min_score <= 1):
            raise ExtractorError(f"min_score {min_score!r} is not a number between 0 and 1")
        self.model = model
        self.batch_tokens = batch_tokens or _BATCH_TOKENS[model.device.split(":")[0]]
        self.min_score = min_score
        self._window_length = model.max_tokens - 2  # [CLS] and [SEP]
        self._overlap = self._window_length // _OVERLAP_SHARE
        self._encoder = Encoder(model.tokenizer, model.max_tokens, self._overlap)

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] | None = None,
        *,
        backend: str = "torch",
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
        min_score: float | None = None,
        revision: str | None = None,
    ) -> Extractor:
        """An extractor from a model folder, a Hub id, or (None) the model inside the package, which needs no network.

        Args:
            model: Folder or Hub id of a token classifier with renshi's labels.
            backend: ``torch``, or ``onnx``: ONNX Runtime on the CPU, needing neither torch nor transformers.
            device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ``cuda:1`` …
            dtype: ``auto`` (bfloat16 where the hardware has it), ``float32``, ``bfloat16``, ``float16``.
                Backend onnx: ``float32`` (``auto`` is that: ``onnx/model.onnx``), ``int8`` (``onnx/model_quantized.onnx``).
            batch_tokens: How many tokens, padding included, go through the model at once; None chooses by device.
            min_score: Entities that are less probably right are left out, and with them their roles and events. None: all
                are read, and those under the model's own least score (`model.calibration.min_score`) that no role or
                roster rests on are left out of the record: the best F1 on its dev set. Single characters under it that are
                no persons are not even read. 0: nothing is left out.
            revision: Branch, tag or commit, for a Hub id.

        Raises:
            ExtractorError: What was asked for cannot be used; the message says what to do.
        """
        for name, value in (("backend", backend), ("device", device), ("dtype", dtype)):
            if not isinstance(value, str):
                raise ExtractorError(
                    f"{name} {value!r} is a {type(value).__name__}; it is a name, such as 'cpu' for a device"
                )
        loaded = load_model(model, revision, backend=backend, device=device, dtype=dtype)
        return cls(loaded, batch_tokens=batch_tokens, min_score=min_score)

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Extractor cannot be pickled; load one in each process with Extractor.from_pretrained")

    @property
    def model_name(self) -> str:
        """The model's name, as records give it."""
        return self.model.name

    def extract(self, documents: str | Document | Iterable[str | Document | Failure]) -> Iterator[Record | Failure]:
        """One record for each document, in order, made as the caller asks for them.

        A string is one document; strings without an id are numbered from 0. A `Failure` among the documents (one that a
        reader could not read) is passed on in its place, and a document that cannot be processed becomes one.
        Memory is bounded by a chunk of documents, whatever their number.

        Raises:
            ExtractorError: The model's results are not numbers, as where its weights are too large for float16.
            TypeError: `documents` are bytes or a mapping, whose parts are no documents.
        """
        for chunk in self._chunks(documents):
            for item, spans, seen in zip(chunk.items, *self._run(chunk), strict=True):
                yield item if isinstance(item, Failure) else self._finish(item, spans, seen)

    def extract_with_doubt(
        self, documents: str | Document | Iterable[str | Document | Failure]
    ) -> Iterator[tuple[Record | Failure, float]]:
        """As `extract`, each record with its doubt: the share of its tokens that are expected to be tagged wrongly, which is
        the mean of 1 − the probability of the best tag. Where windows share text it counts in both. 0 for a failure."""
        for chunk in self._chunks(documents):
            doubts = np.zeros((len(chunk.items), 2))
            spans, seen = self._run(chunk, doubts)
            for number, item in enumerate(chunk.items):
                wrong, tokens = doubts[number].tolist()
                record = item if isinstance(item, Failure) else self._finish(item, spans[number], seen[number])
                yield record, wrong / max(tokens, 1)

    def _chunks(self, documents: str | Document | Iterable[str | Document | Failure]) -> Iterator[_Chunk]:
        """Chunks, each prepared beside the model's work on the one before. The first one is prepared here: to hand a short
        document to another thread and back took 2 ms of its 13, while the model's threads still held the cores. The
        documents are asked for in the caller's own thread, since not every iterator may be used from another."""
        if isinstance(documents, (bytes, bytearray, Mapping)):
            raise TypeError(
                f"{type(documents).__name__} is no text; extract takes a str, a Document(id, text), or an iterable of them"
            )
        if isinstance(documents, (str, Document)):
            documents = [documents]
        chunks = _split(_numbered(documents), self.batch_tokens, self.batch_tokens * _CHUNK_BATCHES)
        current = self._prepare_chunk(next(chunks, []))
        with ThreadPoolExecutor(1, "renshi") as beside:
            for chunk in chunks:
                ahead = beside.submit(self._prepare_chunk, chunk)
                yield current
                current = ahead.result()
        yield current

    def _prepare_chunk(self, documents: Sequence[Document | Failure]) -> _Chunk:
        items = [self._prepare(document) for document in documents]
        texts: dict[str, list[tuple[int, Window]]] = {}
        for number, item in enumerate(items):
            if not isinstance(item, Failure):
                for window in item.windows:
                    texts.setdefault(item.normalized.text[window.start : window.end], []).append((number, window))
        refused: dict[int, str] = {}
        rows = list(self._encoder.encode(list(texts), refused)) if texts else []
        owners = list(texts.values())
        for text, reason in refused.items():
            for number, _ in owners[text]:
                if isinstance(item := items[number], _Prepared):
                    message = f"{item.document.id}: the model's tokenizer.json breaks off at it ({reason})"
                    items[number] = Failure(item.document.id, "TokenizerError", message)
        return _Chunk(items, owners, rows)

    def _prepare(self, document: Document | Failure) -> _Prepared | Failure:
        if isinstance(document, Failure):
            return document
        if not isinstance(document.id, str):
            kind = type(document.id).__name__
            return Failure(str(document.id), "TypeError", f"the id is a {kind}; a document's id is a str")
        if not isinstance(document.text, str):
            kind = type(document.text).__name__
            return Failure(str(document.id), "TypeError", f"the text is a {kind}; a document's text is a str")
        normalized = normalize(document.text)
        return _Prepared(document, normalized, split_windows(normalized.text, self._window_length, self._overlap))

    def _run(
        self, chunk: _Chunk, doubts: NDArray[np.float64] | None = None
    ) -> tuple[list[list[tuple[int, int, int, float]]], list[list[Evidence]]]:
        """For each document of the chunk its spans (start, end, label index, score), and what the model says of its tokens
        as parts of names, both in the normalized text.

        To `doubts`, (documents, 2), are added how many tokens are expected to be wrong, and how many there are.
        """
        spans: list[list[tuple[int, int, int, float]]] = [[] for _ in chunk.items]
        seen: list[list[Evidence]] = [[] for _ in chunk.items]
        for numbers, logits in self._logits(chunk.rows):
            rows = [chunk.rows[number] for number in numbers]
            lengths = np.array([len(row.input_ids) for row in rows])
            if doubts is not None:
                for row, *counts in zip(rows, *doubt(logits, lengths), strict=True):
                    for number, _ in chunk.owners[row.source]:
                        doubts[number] += counts
            if self.reads_pages:
                first = first_tokens(lengths).tolist()
                starts = [row.line_starts + at for row, at in zip(rows, first, strict=True)]
                hold_at_line_feeds(logits, np.concatenate(starts))
            for index, start, end, label, score in self._spans(rows, logits, lengths):
                row = rows[index]
                if not row.first <= start < row.last:
                    continue
                for number, window in chunk.owners[row.source]:
                    if window.first <= window.start + start < window.last:
                        spans[number].append((window.start + start, window.start + end, label, score))
            if self.reads_pages:
                probability = np.split(self._token_probabilities(logits), np.cumsum(lengths)[:-1])
                for row, of_row in zip(rows, probability, strict=True):
                    for number, window in chunk.owners[row.source]:
                        seen[number].append(_evidence(row, window, of_row))
        return spans, seen

    def _token_probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.floating]:
        """(tokens, …): what is kept of each token, for the document as a whole."""
        return evidence(logits, self.model.calibration.temperature)

    def _logits(self, rows: Sequence[Encoded]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Numbers of rows with their logits, (tokens of those rows, tags), until every row had its turn."""
        lengths = [len(row.input_ids) for row in rows]
        batches = deque(make_batches(lengths, self.batch_tokens, padded=not getattr(self.model, "packs_rows", False)))
        numbers: list[int] = []
        read: list[NDArray[np.float32]] = []
        while batches:
            batch = batches.popleft()
            try:
                logits = self.model.logits([rows[number].input_ids for number in batch], self._encoder.pad_id)
            except MemoryError:
                if len(batch) == 1:
                    raise
                half = len(batch) // 2
                batches.extendleft((batch[half:], batch[:half]))
                self._spare_memory(sum(len(rows[number].input_ids) for number in batch))
                continue
            _check_numbers(self.model, logits)
            read.append(logits)
            numbers += batch
            if not batches or sum(map(len, read)) >= _DECODED_TOKENS:
                yield numbers, np.concatenate(read)
                numbers, read = [], []

    def _spare_memory(self, tokens: int) -> None:
        """Half of what was too much is the budget from now on."""
        self.batch_tokens = max(1, min(self.batch_tokens, tokens) // 2)
        warnings.warn(f"a batch of {tokens} tokens was too large for {self.model.device}; from now on batches have at most "
                      f"{self.batch_tokens} (batch_tokens sets it)", stacklevel=2)  # fmt: skip

    def _spans(
        self, rows: Sequence[Encoded], logits: NDArray[np.float32], lengths: NDArray[np.int64]
    ) -> Iterator[tuple[int, int, int, int, float]]:
        """(row, start, end, label index, score), start and end in characters of the row's text."""
        found = decode(logits, lengths, self.model.calibration.temperature)
        offsets = np.concatenate([row.offsets for row in rows])
        first = first_tokens(lengths)[found.row]
        starts, ends = offsets[first + found.start, 0], offsets[first + found.end - 1, 1]
        score = doubt_single_characters(found.score, ends - starts == 1) if self.reads_pages else found.score
        columns = (found.row, starts, ends, found.label, score)
        return zip(*(column.tolist() for column in columns), strict=True)

    def _entities(self, normalized: Normalized, spans: Iterable[tuple[int, int, int, float]]) -> list[Entity]:
        """What the windows of a normalized text found, as entities of it."""
        entities = merge_spans(normalized.text, spans, self.labels)
        return cut_at_columns(normalized, pair_marks(normalized.text, entities)) if self.reads_pages else entities

    def _finish(self, item: _Prepared, spans: list[tuple[int, int, int, float]], seen: list[Evidence]) -> Record:
        text = item.normalized.text
        entities = self._entities(item.normalized, spans)
        if seen:
            entities = find_repeats(text, entities, Evidence.join(seen))
        if self.min_score is not None:
            entities = [entity for entity in entities if entity.score >= self.min_score]
        elif self.reads_pages:
            entities = without_strays(entities, self.model.calibration.min_score)
        events = document_event_types(text, entities)
        mentions = to_raw_entities(item.normalized, entities)
        roles, rosters = find_roles(text, entities, [on_one_line(mention.text) for mention in mentions])
        if self.min_score is None:
            mentions, roles, rosters = report(mentions, roles, rosters, self.model.calibration.min_score)
        return Record(
            id=item.document.id,
            text=item.document.text,
            entities=mentions,
            roles=[Role(role.person, role.title, role.organization, round(role.score, 4)) for role in roles],
            rosters=rosters,
            event_types=[EventType(e.type, round(e.score, 4)) for e in events],
            model=self.model_name,
        )


def without_strays(entities: Sequence[Entity], min_score: float) -> list[Entity]:
    """The entities without single characters, other than persons, that score less than `min_score`: these say nothing of the
    persons beside them (大主教韦尔比, of which 大 is no post). On dev not one of those that bore a role was right."""
    return [e for e in entities if len(e.text) > 1 or e.label == "PER" or e.score >= min_score]


def report(
    entities: Sequence[Entity], roles: Sequence[Role], rosters: Sequence[Roster], min_score: float
) -> tuple[list[Entity], list[Role], list[Roster]]:
    """The entities that score at least `min_score` or bear a role or roster, and those with their new indices. A title
    beside a person speaks for both: on dev such entities are right more often than their scores say."""
    borne = {index for role in roles for index in (role.person, role.title, role.organization)}
    borne |= {roster.title for roster in rosters}
    kept = [index for index, entity in enumerate(entities) if entity.score >= min_score or index in borne]
    place: dict[int | None, int] = {index: number for number, index in enumerate(kept)}
    return (
        [entities[index] for index in kept],
        [
            replace(r, person=place[r.person], title=place[r.title], organization=place.get(r.organization))
            for r in roles
        ],
        [replace(roster, title=place[roster.title]) for roster in rosters],
    )


def _evidence(row: Encoded, window: Window, probability: NDArray[np.floating]) -> Evidence:
    """What a row says of those tokens that are its own to decide, placed in the document."""
    first, last = max(row.first, window.first - window.start), min(row.last, window.last - window.start)
    start, end = row.offsets.T.astype(np.int32)
    own = (first <= start) & (start < last)
    own[0] = own[-1] = False  # [CLS] and [SEP]
    return Evidence(start[own] + window.start, end[own] + window.start, probability[own])


def _check_numbers(model: Model, logits: NDArray[np.float32]) -> None:
    """Where a precision's range is left, nothing would be found, in silence. Raises `ExtractorError`."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(logits.sum()) or np.isfinite(logits).all():  # a sum costs a tenth of asking each
            return
    dtype = getattr(model, "dtype", "float32")
    advice = "its weights are damaged, or too large: train it anew" if dtype == "float32" else "choose --dtype float32"
    raise ExtractorError(
        f"{model.name}: on {model.device} in {dtype} its results are not all numbers (NaN or infinite); {advice}"
    )


def _numbered(documents: Iterable[str | Document | Failure]) -> Iterator[Document | Failure]:
    for number, document in enumerate(documents):
        yield document if isinstance(document, (Document, Failure)) else Document(str(number), document)


def _split(documents: Iterable[Document | Failure], least: int, most: int) -> Iterator[list[Document | Failure]]:
    """Lists of documents of about `least` characters in all, then of twice as many, up to `most`; a longer document is a
    list alone."""
    chunk: list[Document | Failure] = []
    size, limit = 0, least
    for document in documents:
        length = len(document.text) if isinstance(document, Document) and isinstance(document.text, str) else 0
        if chunk and (size + length > limit or len(chunk) >= limit):
            yield chunk
            chunk, size, limit = [], 0, min(2 * limit, most)
        chunk.append(document)
        size += length
    if chunk:
        yield chunk
