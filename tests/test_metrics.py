"""The counting, against seqeval in strict mode and against numbers worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from training.metrics import bootstrap_interval, compare_sets, f1_of, paired_bootstrap, score_of

Spans = list[tuple[int, int, str]]


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
        parts = [(a, b, draw(st.sampled_from(["PER", "ORG", ""]))) for a, b in itertools.pairwise(cuts)]
        return [part for part in parts if part[2]]

    return spans(), spans(), length


@given(st.lists(documents(), min_size=1, max_size=6))
def test_agrees_with_seqeval_in_strict_mode(pages: list[tuple[Spans, Spans, int]]) -> None:
    gold_tags = [to_tags(gold, length) for gold, _, length in pages]
    tags = [to_tags(predicted, length) for _, predicted, length in pages]
    if not any(gold for gold, _, _ in pages):
        return  # seqeval has nothing to report then
    report = classification_report(gold_tags, tags, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
    for label in ("PER", "ORG", "micro avg"):
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


def test_worked_by_hand() -> None:
    counts = np.array([compare_sets({1, 2, 3}, {2, 3, 4, 5}), compare_sets(set(), {1}), compare_sets({9}, set())])
    assert counts.tolist() == [[2, 3, 4], [0, 0, 1], [0, 1, 0]]
    score = score_of(counts)
    assert (score.precision, score.recall, score.support) == (2 / 4, 2 / 5, 5)
    assert score.f1 == pytest.approx(2 * 2 / 9)
    assert f1_of(np.array([[0, 0, 0], [1, 1, 1]])).tolist() == [0.0, 1.0]


def test_intervals_hold_the_score_and_narrow_with_more_documents() -> None:
    counts = np.random.default_rng(0).multinomial(20, [0.6, 0.2, 0.2], size=50)
    counts = np.stack([counts[:, 0], counts[:, 0] + counts[:, 1], counts[:, 0] + counts[:, 2]], axis=1)
    low, high = bootstrap_interval(counts, seed=1)
    assert low < score_of(counts).f1 < high
    narrow = bootstrap_interval(np.tile(counts, (10, 1)), seed=1)
    assert narrow[1] - narrow[0] < (high - low) / 2
    assert bootstrap_interval(counts, seed=1) == (low, high)


def test_a_paired_comparison_knows_the_better() -> None:
    theirs = np.tile([[5, 10, 10]], (40, 1))
    ours = np.tile([[7, 10, 10], [6, 10, 10]], (20, 1))
    assert paired_bootstrap(ours, theirs) == 0.0
    assert paired_bootstrap(theirs, ours) == 1.0
    assert paired_bootstrap(ours, ours) == 1.0
    with pytest.raises(ValueError, match="40 documents against 3; a paired comparison needs the same documents"):
        paired_bootstrap(ours, theirs[:3])
