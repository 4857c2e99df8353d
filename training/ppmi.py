"""A start for pretraining that is not random: what stands beside what, counted, before the first step.

A small encoder learns for millions of tokens before its word vectors say more than how frequent a word is. They can be
had for a minute of counting:

1. *word embeddings* (and with them the tied output): for each offset a matrix of positive pointwise mutual information
   between a token and the token at that offset, side by side; a truncated SVD; rows of one length (Levy, Goldberg and
   Dagan 2015). 王 then stands beside 李 刘 陈, 肺 beside 肝 肾;
2. *output bias*: log frequencies, so that the first guesses are as good as a unigram model's;
3. *position embeddings*: sinusoids of about the words' size (Vaswani et al. 2017);
4. *the heads of layer 0*: each looks at one neighbour. Query and key take the same sinusoids, the key's turned by the
   offset, so that their product is greatest there.

The rest stays as BERT draws it, and the class is BERT's own: only numbers are set. What it brings: results/ppmi.json.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, hstack
from scipy.sparse.linalg import svds

__all__ = [
    "WarmStart",
    "cooccurrence",
    "frequencies",
    "local_head",
    "log_frequencies",
    "positive_pmi",
    "sinusoids",
    "warm_start",
    "word_vectors",
]

WORD_NORM = 0.8
# Beside words of norm 0.8 the positions have norm 0.54, whatever the width: an amplitude of 0.048 in 256 dimensions.
POSITION_AMPLITUDE = 0.048 * math.sqrt(256)
# Weights of 2 where a head of size 64 reads 32 pairs; with other numbers, what makes the same scores.
HEAD_SCALE = 2 * math.sqrt(32) / 64**0.25


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """What is counted, and what the first layer looks at. Offsets are in tokens, −1 being the token before."""

    offsets: tuple[int, ...] = (-2, -1, 1, 2)
    smoothing: float = 0.75
    """The exponent of the context's frequency: below 1, rare contexts count for less."""
    shift: float = 0.0
    """Taken off every pointwise mutual information before what is negative is dropped; the log of the number of negative
    samples that word2vec would draw."""
    heads: tuple[int, ...] = (-1, 1, -2, 2)
    """The offsets that the heads of layer 0 look at, the first head at the first. Heads beyond them stay random; offsets
    beyond the heads are left out. Empty: no head is set."""
    fastest: float = 3.0
    """The angle, in radians, by which the fastest position pair turns from one token to the next; 1 in Vaswani et al.
    Near π neighbours differ most: with 1, a head of size 64 puts more weight on the token itself than on its neighbour."""

    def problems(self) -> Iterator[str]:
        if not self.offsets:
            yield "offsets: names none; such as offsets = [-2, -1, 1, 2]"
        for name in ("offsets", "heads"):
            if 0 in getattr(self, name):
                yield f"{name}: 0 is the token itself; name its neighbours, such as -1 and 1"
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                yield f"{name}: {list(getattr(self, name))} names an offset twice"
        if not 0 < self.smoothing <= 1:
            yield f"smoothing: {self.smoothing} is not above 0 and at most 1"
        if self.shift < 0:
            yield f"shift: {self.shift} is below 0"
        if not 0 < self.fastest <= math.pi:
            yield f"fastest: {self.fastest} is not above 0 and at most π"


def cooccurrence(ids: NDArray[Any], size: int, offset: int, chunk: int = 1 << 22) -> csr_array:
    """(size, size) counts: how often the id of the column stands `offset` places from the id of the row. `ids` may be
    memory-mapped: `chunk` of them are read at a time (pairs of four million take about 100 MB while they are summed)."""
    distance = abs(offset)
    total = csr_array((size, size), dtype=np.int64)
    for start in range(0, len(ids) - distance, chunk):
        piece = np.asarray(ids[start : start + chunk + distance], dtype=np.int32)
        pairs = piece[:-distance], piece[distance:]
        total += coo_array((np.ones(len(pairs[0]), dtype=np.int64), pairs), shape=(size, size)).tocsr()
    return total if offset > 0 else total.T.tocsr()


def positive_pmi(counts: csr_array, smoothing: float = 0.75, shift: float = 0.0) -> csr_array:
    """max(0, log p(row, column) / (p(row) p(column)) − shift), the column's probability smoothed; float32, sparse."""
    rows = np.asarray(counts.sum(axis=1), dtype=np.float64)
    columns = np.asarray(counts.sum(axis=0), dtype=np.float64) ** smoothing
    columns /= columns.sum() or 1.0
    pairs = counts.tocoo()
    pmi = np.log(pairs.data) - np.log(rows[pairs.row] * columns[pairs.col]) - shift
    kept = pmi > 0
    return csr_array((pmi[kept].astype(np.float32), (pairs.row[kept], pairs.col[kept])), shape=counts.shape)


def word_vectors(
    arrays: Sequence[NDArray[Any]], weights: Sequence[float], size: int, dimensions: int, settings: WarmStart
) -> NDArray[np.float32]:
    """(size, at most `dimensions`) rows of norm 1, the most telling dimension last; a row of zeros where an id has no
    positive association (it does not occur, or everywhere alike). Fewer dimensions where the counts have no more.

    Pairs do not reach from one array into the next. An array's counts are multiplied by its weight."""
    matrices = []
    for offset in settings.offsets:
        counts = csr_array((size, size), dtype=np.float64)
        for ids, weight in zip(arrays, weights, strict=True):
            counts += cooccurrence(ids, size, offset) * weight
        matrices.append(positive_pmi(counts, settings.smoothing, settings.shift))
    matrix = csr_array(hstack(matrices, format="csr"))
    told = np.diff(matrix.indptr) > 0
    if not told.any():
        return np.zeros((size, 0), dtype=np.float32)
    # ARPACK wants fewer vectors than rows, and a start that is no accident of the run.
    start = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    left, strengths, _ = svds(matrix, k=min(dimensions, size - 1), return_singular_vectors="u", v0=start)
    order = np.argsort(strengths)
    order = order[strengths[order] > 1e-3 * strengths.max()]  # below that, float32 finds noise, not dimensions
    vectors = left[:, order] * np.sqrt(strengths[order]) * told[:, None]
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0).astype(np.float32)


def frequencies(arrays: Sequence[NDArray[Any]], weights: Sequence[float], size: int, chunk: int = 1 << 22) -> Any:
    """(size,) how often each id occurs, float64, an array's counts multiplied by its weight."""
    total = np.zeros(size)
    for ids, weight in zip(arrays, weights, strict=True):
        for start in range(0, len(ids), chunk):
            total += weight * np.bincount(ids[start : start + chunk], minlength=size)
    return total


def log_frequencies(counts: NDArray[Any]) -> NDArray[np.float32]:
    """The log of each id's share, one added to every count."""
    return np.log((counts + 1) / (counts.sum() + len(counts))).astype(np.float32)


def rates(dimensions: int, fastest: float) -> NDArray[np.float64]:
    """The angle by which each pair of sine and cosine turns from one position to the next, the fastest first."""
    return fastest * 10_000.0 ** (-np.arange(0, dimensions - 1, 2) / dimensions)


def sinusoids(positions: int, dimensions: int, fastest: float) -> NDArray[np.float32]:
    """(positions, dimensions) of alternating sine and cosine; a last odd dimension stays 0."""
    angles = np.arange(positions)[:, None] * rates(dimensions, fastest)
    table = np.zeros((positions, dimensions), dtype=np.float32)
    table[:, 0 : 2 * angles.shape[1] : 2], table[:, 1 : 2 * angles.shape[1] : 2] = np.sin(angles), np.cos(angles)
    return table


def local_head(
    size: int, dimensions: int, offset: int, fastest: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(size, dimensions) query and key projections of a head that looks `offset` places on: the query takes the fastest
    pairs of `sinusoids`, the key the same pairs turned back by `offset`, so that the two agree at that place."""
    turns = rates(dimensions, fastest)[: size // 2]
    turns = turns[turns > fastest / 10]  # slower ones hardly tell neighbours apart, and words disturb them as much
    query, key = np.zeros((2, size, dimensions), dtype=np.float32)
    angles = turns * offset
    sine, cosine = 2 * np.arange(len(turns)), 2 * np.arange(len(turns)) + 1
    query[sine, sine] = query[cosine, cosine] = 1
    key[sine, sine] = key[cosine, cosine] = np.cos(angles)
    key[sine, cosine], key[cosine, sine] = -np.sin(angles), np.sin(angles)
    scale = HEAD_SCALE * size**0.25 / math.sqrt(max(len(turns), 1))
    return scale * query, scale * key


def warm_start(model: Any, arrays: Sequence[NDArray[Any]], weights: Sequence[float], settings: WarmStart) -> None:
    """Set embeddings, output bias and the first heads of a `BertForMaskedLM`, in place, from token ids.

    Args:
        model: With random weights; what the counts do not tell (an id that never occurs, dimensions beyond those that
            the counts have, the other heads and layers) keeps them.
        arrays: Token ids, one array a corpus, memory-mapped or not.
        weights: How often each corpus will be read.
    """
    size, width = model.config.vocab_size, model.config.hidden_size
    vectors = torch.from_numpy(WORD_NORM * word_vectors(arrays, weights, size, width, settings))
    told = vectors.any(dim=1)
    embeddings, attention = model.bert.embeddings, model.bert.encoder.layer[0].attention.self
    with torch.no_grad():
        # The most telling dimensions last: the heads read positions in the first ones, where words disturb them least.
        embeddings.word_embeddings.weight[told, width - vectors.shape[1] :] = vectors[told]
        positions = sinusoids(model.config.max_position_embeddings, width, settings.fastest)
        embeddings.position_embeddings.weight.copy_(torch.from_numpy(positions * POSITION_AMPLITUDE / math.sqrt(width)))
        embeddings.token_type_embeddings.weight.zero_()  # there is one type: it would only blur the positions
        model.cls.predictions.bias.copy_(torch.from_numpy(log_frequencies(frequencies(arrays, weights, size))))
        head_size = width // model.config.num_attention_heads
        for head, offset in zip(range(model.config.num_attention_heads), settings.heads, strict=False):
            rows = slice(head * head_size, (head + 1) * head_size)
            query, key = local_head(head_size, width, offset, settings.fastest)
            attention.query.weight[rows] += torch.from_numpy(query)  # what is random there keeps the rows apart
            attention.key.weight[rows] += torch.from_numpy(key)
