from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from renshi.encode import Encoder
from renshi.labels import LABELS, TAGS
from renshi.markup import parse_markup
from renshi.records import Entity
from training.align import ALL_TAGS, align, bit, outside
from training.sources import Example

EVERYTHING = frozenset(LABELS)


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> Encoder:
    return Encoder(Tokenizer.from_file(str(tiny_model / "tokenizer.json")), 64, 8)


def example(marked: str, annotated: frozenset[str] = EVERYTHING, doubtful: list[Entity] | None = None) -> Example:
    document = parse_markup(marked)
    return Example("x", document.text, document.entities, doubtful or [], annotated)


def tags_of(mask: int) -> str:
    return " ".join(tag for tag in TAGS if mask & bit(tag))


def test_a_fully_annotated_text_allows_one_tag_for_each_token(encoder: Encoder) -> None:
    rows, report = align([example("{省学会|ORG}{会长|TITLE}{王|PER}说")], encoder, 62, 8)
    assert [tags_of(mask) for mask in rows[0].allowed[1:-1]] == [
        "B-ORG", "I-ORG", "I-ORG", "B-TITLE", "I-TITLE", "B-PER", "O",
    ]  # fmt: skip
    assert rows[0].allowed[0] == rows[0].allowed[-1] == 0
    assert (report.rows, report.spans, sum(report.lost.values())) == (1, 3, 0)
    assert str(report) == "1 rows, 9 tokens, 3 spans; 0 off token borders; 0 removed by normalization"


def test_an_unannotated_label_may_stand_where_o_is(encoder: Encoder) -> None:
    rows, _ = align([example("{王|PER}会", frozenset({"PER", "ORG"}))], encoder, 62, 8)
    assert tags_of(rows[0].allowed[1]) == "B-PER"
    assert tags_of(rows[0].allowed[2]).startswith("O B-TITLE I-TITLE B-EVENT.FOUNDING")
    assert rows[0].allowed[2] == outside(frozenset({"PER", "ORG"}))
    assert outside(EVERYTHING) == bit("O")


def test_a_doubtful_span_allows_o_or_its_label(encoder: Encoder) -> None:
    rows, _ = align([example("记者说", doubtful=[Entity(0, 2, "记者", "TITLE")])], encoder, 62, 8)
    assert [tags_of(mask) for mask in rows[0].allowed[1:-1]] == ["O B-TITLE I-TITLE", "O B-TITLE I-TITLE", "O"]


def test_damaged_names_are_aligned_over_what_normalization_removes(encoder: Encoder) -> None:
    rows, report = align([example("{協(xié)會|ORG}{王 进 龙|PER}")], encoder, 62, 8)
    assert [tags_of(mask) for mask in rows[0].allowed[1:-1]] == ["B-ORG", "I-ORG", "B-PER", "I-PER", "I-PER"]
    assert sum(report.lost.values()) == 0


def test_a_token_over_the_border_of_a_span_allows_anything_and_is_counted(encoder: Encoder) -> None:
    rows, report = align([example("{John|PER}12会")], Encoder(word_tokenizer(), 64, 8), 62, 8)
    assert rows[0].allowed[1] == ALL_TAGS
    assert report.lost["off token borders"] == 1


def word_tokenizer() -> Tokenizer:
    from training.tokenizer import from_vocabulary

    return from_vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "john12", "会"]).backend_tokenizer


def test_a_span_that_a_window_cuts_allows_anything(encoder: Encoder) -> None:
    rows, report = align([example("会会{" + "省" * 12 + "|ORG}会会")], encoder, 10, 2)
    assert len(rows) == 2
    assert ALL_TAGS in rows[0].allowed
    assert bit("B-ORG") not in [int(mask) for row in rows for mask in row.allowed]
    assert report.spans == 1


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.text(st.sampled_from("会长王 ，。12a"), max_size=5), st.sampled_from([None, *LABELS])), max_size=12
    )
)
def test_what_the_masks_say_is_what_was_annotated(tiny_model: Path, parts: list[tuple[str, str | None]]) -> None:
    """Texts whose spans begin and end with an ideograph, in one window: decoding the masks gives the spans back."""
    text, entities = "", []
    for piece, label in parts:
        if label:
            piece = f"会{piece.strip()}长"
            entities.append(Entity(len(text), len(text) + len(piece), piece, label))
        text += piece + "。"
    encoder = Encoder(Tokenizer.from_file(str(tiny_model / "tokenizer.json")), 500, 0)
    rows, report = align([Example("x", text, entities, [], EVERYTHING)], encoder, 498, 0)
    assert sum(report.lost.values()) == 0
    masks = np.concatenate([row.allowed[1:-1] for row in rows]) if rows else np.array([], dtype=int)
    assert sum(tags_of(int(mask)).startswith("B-") for mask in masks) == len(entities)
