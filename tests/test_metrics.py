"""The counting, against seqeval in strict mode and against numbers worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from training.metrics import Span, bootstrap_interval, compare_sets, confuse, f1_of, paired_bootstrap, score_of

Spans = list[Span]
LABELS = ("PER", "ORG", "EVENT.FOUNDING")


def to_tags(spans: Spans, length: int) -> list[str]:
    tags = ["O"] * length
    for start, end, label in spans:
        tags[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    return tags


@st.composite
def documents(draw: st.DrawFn) -> tuple[Spans, Spans, int]:
    length = draw(st.integers(1, 20))

    def spans() -> Spans:
        cuts = sorted(draw(st.sets(st.integers(0, length), max_size=8)))
        parts = [(a, b, draw(st.sampled_from([*LABELS, ""]))) for a, b in itertools.pairwise(cuts)]
        return [part for part in parts if part[2]]

    return spans(), spans(), length


@given(st.lists(documents(), min_size=1, max_size=6))
def test_agrees_with_seqeval_in_strict_mode(pages: list[tuple[Spans, Spans, int]]) -> None:
    gold_tags = [to_tags(gold, length) for gold, _, length in pages]
    tags = [to_tags(predicted, length) for _, predicted, length in pages]
    if not any(gold for gold, _, _ in pages):
        return  # seqeval has nothing to report then
    report = classification_report(gold_tags, tags, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    for label in (*LABELS, "micro avg"):
        if label not in report:
            continue
        rows = [
            compare_sets(*([s for s in spans if label in (s[2], "micro avg")] for spans in (predicted, gold)))
            for gold, predicted, _ in pages
        ]
        score = score_of(np.array(rows))
        expected = report[label]
        assert score.precision == pytest.approx(expected["precision"])
        assert score.recall == pytest.approx(expected["recall"])
        assert score.f1 == pytest.approx(expected["f1-score"])
        assert score.support == expected["support"]


# Gold: 王进龙 [0, 3) PER and 省学会 [5, 8) ORG. What was predicted; (right, predicted, gold); what became of each span.
BY_HAND = [
    ([(0, 3, "PER"), (5, 8, "ORG")], (2, 2, 2), {("PER", "PER"): 1, ("ORG", "ORG"): 1}),
    ([(0, 3, "TITLE"), (5, 8, "ORG")], (1, 2, 2), {("PER", "TITLE"): 1, ("ORG", "ORG"): 1}),
    ([(0, 2, "PER"), (5, 8, "ORG")], (1, 2, 2), {("PER", "boundary"): 1, ("ORG", "ORG"): 1}),
    ([(0, 2, "TITLE"), (2, 4, "PER")], (0, 2, 2), {("PER", "boundary"): 1, ("ORG", "missed"): 1}),
    ([(0, 2, "TITLE")], (0, 1, 2), {("PER", "other"): 1, ("ORG", "missed"): 1}),
    ([(2, 6, "PER")], (0, 1, 2), {("PER", "boundary"): 1, ("ORG", "other"): 1}),
    ([(3, 5, "PER")], (0, 1, 2), {("PER", "missed"): 1, ("ORG", "missed"): 1, ("spurious", "PER"): 1}),
    ([], (0, 0, 2), {("PER", "missed"): 1, ("ORG", "missed"): 1}),
]


@pytest.mark.parametrize(("predicted", "counts", "pairs"), BY_HAND)
def test_one_document_by_hand(
    predicted: Spans, counts: tuple[int, int, int], pairs: dict[tuple[str, str], int]
) -> None:
    gold = [(0, 3, "PER"), (5, 8, "ORG")]
    assert compare_sets(predicted, gold) == counts
    assert confuse(predicted, gold) == pairs


def test_all_documents_by_hand() -> None:
    """The table's sums: 4 right of 11 predicted and 16 in gold."""
    score = score_of(np.array([counts for _, counts, _ in BY_HAND]))
    assert (score.precision, score.recall, score.support) == (4 / 11, 4 / 16, 16)
    assert score.f1 == pytest.approx(2 * 4 / (11 + 16))
    assert f1_of(np.array([[0, 0, 0], [1, 1, 1]])).tolist() == [0.0, 1.0]


@given(documents())
def test_the_confusion_accounts_for_every_gold_span(page: tuple[Spans, Spans, int]) -> None:
    gold, predicted, _ = page
    pairs = confuse(predicted, gold)
    assert sum(count for (row, _), count in pairs.items() if row != "spurious") == len(gold)
    assert sum(count for (row, column), count in pairs.items() if row == column) == len(set(gold) & set(predicted))
    assert sum(count for (row, _), count in pairs.items() if row == "spurious") <= len(predicted)


def test_intervals_hold_the_score_and_narrow_with_more_documents() -> None:
    counts = np.random.default_rng(0).multinomial(20, [0.6, 0.2, 0.2], size=50)
    counts = np.stack([counts[:, 0], counts[:, 0] + counts[:, 1], counts[:, 0] + counts[:, 2]], axis=1)
    low, high = bootstrap_interval(counts, seed=1)
    assert low < score_of(counts).f1 < high
    narrow = bootstrap_interval(np.tile(counts, (10, 1)), seed=1)
    assert narrow[1] - narrow[0] < (high - low) / 2
    assert bootstrap_interval(counts, seed=1) == (low, high)


def test_a_paired_comparison_knows_the_better() -> None:
    """p is for the second being better."""
    worse = np.tile([[5, 10, 10]], (40, 1))
    better = np.tile([[7, 10, 10], [6, 10, 10]], (20, 1))
    assert paired_bootstrap(worse, better) == 0.0
    assert paired_bootstrap(better, worse) == 1.0
    assert paired_bootstrap(better, better) == 1.0
    with pytest.raises(ValueError, match="40 documents against 3; a paired comparison needs the same documents"):
        paired_bootstrap(better, worse[:3])


def test_a_paired_comparison_draws_the_same_documents_for_both() -> None:
    """Documents of very different difficulty: each system's F1 moves a lot, the difference does not."""
    a = np.array([[1, 10, 10], [9, 10, 10]] * 20)
    b = a + np.array([[1, 0, 0], [0, 0, 0]] * 20)
    assert bootstrap_interval(a)[1] > score_of(b).f1
    assert paired_bootstrap(a, b) < 0.01
