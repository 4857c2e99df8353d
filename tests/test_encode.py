import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from renshi.encode import Encoder, TokenizerError, panics_are_errors
from renshi.text import normalize
from tests.conftest import PANICS_AT_X
from training.tokenizer import build_vocabulary, from_vocabulary

NASTY = "王强\ufffd李明\ue000😀😀👩‍👩‍👧 ABCabc12 \u0301é İ한국 〇㐂𠮷\t\n会议…“好”"


def test_agrees_with_the_tokenizer_that_transformers_loads(tiny_model: Path) -> None:
    """The artifact reloaded through its class gives the same tokens and offsets, nasty strings included."""
    encoder = Encoder(Tokenizer.from_file(str(tiny_model / "tokenizer.json")), 128, 8)
    reloaded = AutoTokenizer.from_pretrained(tiny_model)
    for text in (NASTY, normalize(NASTY).text, "", " ", "王"):
        (row,) = encoder.encode([text])
        expected = reloaded(text, return_offsets_mapping=True)
        assert row.input_ids.tolist() == expected["input_ids"]
        assert [tuple(pair) for pair in row.offsets.tolist()] == expected["offset_mapping"]


@settings(deadline=None, max_examples=50)
@given(text=st.text(st.sampled_from("会长王12ab한。 "), max_size=120))
def test_a_text_over_the_limit_becomes_rows_that_share_it_out(tiny_model: Path, text: str) -> None:
    encoder = Encoder(Tokenizer.from_file(str(tiny_model / "tokenizer.json")), 16, 4)
    whole = Encoder(Tokenizer.from_file(str(tiny_model / "tokenizer.json")), 1000, 0)
    rows = list(encoder.encode([text, "王"]))
    (all_of_it,) = whole.encode([text])
    mine = [row for row in rows if row.source == 0]
    assert all(len(row.input_ids) <= 16 for row in rows)
    owned = []
    for row, following in zip(mine, [*mine[1:], None], strict=True):
        last = following.first if following else len(text) + 1
        owned += [pair for pair in row.offsets[1:-1].tolist() if row.first <= pair[0] < last]
    # A character of several tokens has them all at one place, so places are compared without repetitions.
    assert sorted(set(map(tuple, owned))) == sorted(set(map(tuple, all_of_it.offsets[1:-1].tolist())))
    assert [row.source for row in rows][-1] == 1


@settings(deadline=None, max_examples=100)
@given(text=st.text(st.sampled_from("会王12ab \n\n"), max_size=60))
def test_the_first_token_of_each_line_is_known_where_line_feeds_have_none(text: str) -> None:
    encoder = Encoder(from_vocabulary(build_vocabulary(["会王12ab"])).backend_tokenizer, 16, 4)
    for row in encoder.encode([text]):
        starts = row.offsets[1:-1, 0].tolist()
        ends = [0, *row.offsets[1:-1, 1].tolist()]
        expected = {n + 1 for n, (end, start) in enumerate(zip(ends, starts, strict=False)) if "\n" in text[end:start]}
        # The first token of a row that goes on in the text has what the row before it has; its B- or O is not concerned.
        assert set(row.line_starts.tolist()) - {1} == expected - {1}
        assert len(set(row.line_starts.tolist())) == len(row.line_starts)


def test_line_feeds_that_the_network_sees_are_not_told(tiny_model: Path) -> None:
    (row,) = Encoder(Tokenizer.from_file(str(tiny_model / "tokenizer.json")), 16, 4).encode(["会\n\n 王\n"])
    assert row.offsets[1:-1].tolist() == [[0, 1], [1, 2], [2, 3], [4, 5], [5, 6]]
    assert len(row.line_starts) == 0


def test_the_callers_tokenizer_keeps_its_own_limits(tiny_model: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    Encoder(tokenizer, 16, 4)
    assert tokenizer.truncation is None
    assert len(tokenizer.encode("会" * 50).ids) == 52


def test_special_tokens_stand_nowhere(tiny_model: Path) -> None:
    (row,) = Encoder(Tokenizer.from_file(str(tiny_model / "tokenizer.json")), 16, 4).encode(["会长"])
    np.testing.assert_array_equal(row.offsets, [[0, 0], [0, 1], [1, 2], [0, 0]])


def test_what_is_no_panic_passes() -> None:
    for kind in (KeyboardInterrupt, SystemExit, ValueError):
        with pytest.raises(kind), panics_are_errors():
            raise kind


def test_what_the_tokenizer_breaks_off_at_is_named(tiny_model: Path) -> None:
    content = json.loads((tiny_model / "tokenizer.json").read_text()) | {"normalizer": PANICS_AT_X}
    encoder, refused = Encoder(Tokenizer.from_str(json.dumps(content)), 64, 8), dict[int, str]()
    with pytest.raises(TokenizerError, match="index out of bounds"):
        list(encoder.encode(["会", "x"]))
    assert [row.source for row in encoder.encode(["会", "x", "长", "会x"], refused)] == [0, 2]
    assert list(refused) == [1, 3]


def test_a_vocabulary_without_its_word_for_the_unknown(tiny_model: Path) -> None:
    content = json.loads((tiny_model / "tokenizer.json").read_text())
    content["model"]["unk_token"] = "[NONE]"
    encoder, refused = Encoder(Tokenizer.from_str(json.dumps(content)), 64, 8), dict[int, str]()
    assert [row.source for row in encoder.encode(["会", "囧", "长"], refused)] == [0, 2]
    assert "Missing [UNK] token" in refused[1]
