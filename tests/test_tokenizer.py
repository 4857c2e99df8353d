"""The entry for the end of a line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, BertForTokenClassification

from training.tokenizer import add_entries, add_line_feed, from_vocabulary, load_fast_tokenizer

ENTRIES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "学", "会", "王", "。"]


def make(kind: Any = BertForTokenClassification, entries: list[str] = ENTRIES, rows: int | None = None) -> Any:
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    return kind(BertConfig(vocab_size=rows or len(entries), **shape)).eval(), from_vocabulary(entries)


def test_each_end_of_a_line_has_a_token() -> None:
    model, tokenizer = make()
    tokenizer = add_line_feed(model, tokenizer)
    encoding = tokenizer("学会 \n\n  会王\n", return_offsets_mapping=True)
    assert encoding.tokens() == ["[CLS]", "学", "会", "\n", "\n", "会", "王", "\n", "[SEP]"]
    assert encoding["input_ids"][3] == encoding["input_ids"][7] == len(ENTRIES)
    assert encoding["offset_mapping"][3:5] == [(3, 4), (4, 5)]
    assert model.config.vocab_size == len(tokenizer) == len(ENTRIES) + 1


@pytest.mark.parametrize(("entries", "like"), [(ENTRIES, "。"), (ENTRIES[:-1], "[SEP]")])
@pytest.mark.parametrize("kind", [BertForTokenClassification, BertForMaskedLM])
def test_it_begins_as_what_ends_a_sentence(kind: Any, entries: list[str], like: str) -> None:
    model, tokenizer = make(kind, entries)
    tokenizer = add_line_feed(model, tokenizer)
    new, old = (tokenizer.convert_tokens_to_ids(token) for token in ("\n", like))
    table = model.get_input_embeddings().weight
    assert torch.equal(table[new], table[old])
    if kind is BertForMaskedLM:
        logits = model(**tokenizer("学\n会", return_tensors="pt")).logits
        torch.testing.assert_close(logits[..., new], logits[..., old])


def test_twice_is_once_and_a_folder_keeps_it(tmp_path: Path) -> None:
    model, tokenizer = make()
    tokenizer = add_line_feed(model, tokenizer)
    assert add_line_feed(model, tokenizer) is tokenizer
    tokenizer.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    for loaded in (load_fast_tokenizer(str(tmp_path)), AutoTokenizer.from_pretrained(tmp_path)):
        assert loaded("学\n 会")["input_ids"] == tokenizer("学\n 会")["input_ids"]
        assert add_line_feed(model, loaded) is loaded


def test_a_table_with_rows_to_spare_keeps_its_size() -> None:
    model, tokenizer = make(rows=64)
    assert add_line_feed(model, tokenizer)("\n", add_special_tokens=False)["input_ids"] == [len(ENTRIES)]
    assert model.config.vocab_size == 64


def test_it_stays_where_it_is_when_other_entries_come() -> None:
    model, tokenizer = make()
    tokenizer = add_line_feed(model, tokenizer)
    tokenizer, added = add_entries(model, tokenizer, {"學": "学", "會": "会", "電": "电"})
    assert added == 2
    assert tokenizer("學\n會", add_special_tokens=False).tokens() == ["學", "\n", "會"]
    assert tokenizer.convert_tokens_to_ids("\n") == len(ENTRIES)
    assert len(set(tokenizer.get_vocab().values())) == len(tokenizer) == len(ENTRIES) + 3
