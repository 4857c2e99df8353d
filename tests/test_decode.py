"""The fast decoder against a brute-force one, which tries every legal sequence, and against seqeval's spans."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.scheme import IOB2, Entities

from renshi.decode import best_tags, decode
from renshi.labels import LABELS, TAGS

SUBSET = [TAGS.index(tag) for tag in ("O", "B-PER", "I-PER", "B-EVENT.CONTEST", "I-EVENT.CONTEST")]


def is_legal(tags: tuple[int, ...]) -> bool:
    names = ["O", *(TAGS[tag] for tag in tags)]
    return all(not b.startswith("I-") or a in (b, f"B-{b[2:]}") for a, b in itertools.pairwise(names))


def brute_force(logits: np.ndarray) -> float:
    """The best score of any legal sequence over (tokens, tags) logits, among the tags of `SUBSET`."""
    return max(
        sum(logits[token, tag] for token, tag in enumerate(tags))
        for tags in itertools.product(SUBSET, repeat=len(logits))
        if is_legal(tags)
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_finds_the_best_legal_sequence(seed: int, bodies: list[int]) -> None:
    generator = np.random.default_rng(seed)
    lengths = np.array(bodies) + 2
    logits = np.full((lengths.sum(), len(TAGS)), -50.0, dtype=np.float32)
    logits[:, SUBSET] = generator.normal(size=(len(logits), len(SUBSET))).astype(np.float32) * 3
    tags = best_tags(logits, lengths)
    for row, end in zip(lengths.tolist(), np.cumsum(lengths).tolist(), strict=True):
        assert tags[end - row] == tags[end - 1] == 0
        body, emissions = tags[end - row + 1 : end - 1], logits[end - row + 1 : end - 1]
        assert is_legal(tuple(body))
        if len(body):
            score = sum(emissions[token, tag] for token, tag in enumerate(body))
            assert score == pytest.approx(brute_force(emissions), abs=1e-4)


def plain_viterbi(logits: np.ndarray) -> float:
    """The best score of any legal sequence over (tokens, tags) logits, by the textbook's square matrix."""

    def follows(a: int, b: int) -> bool:
        return is_legal((a - 1, a, b) if TAGS[a].startswith("I-") else (a, b))

    allowed = np.array([[follows(a, b) for b in range(len(TAGS))] for a in range(len(TAGS))])
    moves = np.where(allowed, 0.0, -np.inf)
    score = logits[0] + moves[0]  # as if O stood before
    for emission in logits[1:]:
        score = (score[:, None] + moves).max(axis=0) + emission
    return float(score.max())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 60), min_size=1, max_size=3), st.sampled_from([0.3, 2.0, 6.0]))
def test_long_rows_are_searched_only_in_part_and_yet_best(seed: int, bodies: list[int], spread: float) -> None:
    generator = np.random.default_rng(seed)
    lengths = np.array(bodies) + 2
    logits = generator.normal(size=(lengths.sum(), len(TAGS))).astype(np.float32) * spread
    logits[generator.random(len(logits)) < 0.5, 0] += 8  # half of the tokens are surely outside
    tags = best_tags(logits, lengths)
    for length, end in zip(lengths.tolist(), np.cumsum(lengths).tolist(), strict=True):
        body, emissions = tags[end - length + 1 : end - 1], logits[end - length + 1 : end - 1].astype(np.float64)
        assert is_legal(tuple(body))
        assert emissions[np.arange(len(body)), body].sum() == pytest.approx(plain_viterbi(emissions), abs=1e-3)


@given(st.integers(0, 10**6))
def test_spans_are_those_that_seqeval_reads_from_the_tags(seed: int) -> None:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(2, 12, size=3)
    logits = generator.normal(size=(lengths.sum(), len(TAGS))).astype(np.float32)
    logits[:, 0] += 1
    spans = decode(logits, lengths)
    found = {(int(r), LABELS[label], int(s), int(e)) for r, s, e, label in zip(*spans[:4], strict=True)}
    rows = np.split(best_tags(logits, lengths), np.cumsum(lengths)[:-1])
    entities = Entities([[TAGS[tag] for tag in row] for row in rows], IOB2).entities
    assert found == {(e.sent_id, e.tag, e.start, e.end) for part in entities for e in part}
    assert ((spans.score > 0) & (spans.score <= 1)).all()


def test_a_score_is_that_of_its_weakest_tag_and_of_its_end() -> None:
    logits = np.full((4, len(TAGS)), -np.inf, dtype=np.float32)
    logits[:, 0] = 0.0
    logits[1, TAGS.index("B-ORG")] = np.log(4)  # 4 : 1, probability 0.8
    logits[2, TAGS.index("I-ORG")] = 0.5
    logits[2, 0] = 0.0
    logits[3, TAGS.index("I-ORG")] = -1.0  # the special token: O, but less surely than it might be
    second, ends = 1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(-1))
    assert decode(logits, np.array([4])).score.tolist() == pytest.approx([second * ends])
    spans = decode(logits, np.array([4]), temperature=2.0)
    second, ends = 1 / (1 + np.exp(-0.25)), 1 / (1 + np.exp(-0.5))
    assert spans.score.tolist() == pytest.approx([second * ends])
    assert (spans.start.tolist(), spans.end.tolist(), spans.label.tolist()) == ([1], [3], [LABELS.index("ORG")])


def test_nothing_found_is_no_spans() -> None:
    logits = np.zeros((7, len(TAGS)), dtype=np.float32)
    logits[:, 0] = 9
    assert decode(logits, np.array([5, 2])).row.size == 0
