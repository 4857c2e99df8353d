"""Traditional characters added to a vocabulary read exactly as their Simplified forms do, in the plain pipeline too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForTokenClassification, BertConfig, BertForMaskedLM, pipeline

from tests.conftest import TEXT
from training.tokenizer import add_entries, build_vocabulary, from_vocabulary, load_fast_tokenizer
from training.traditional import add_traditional, main, traditional_forms

SIMPLIFIED, TRADITIONAL = "省学会会长王进龙出席成立大会并致辞", "省學會會長王進龍出席成立大會並致辭"


def test_forms_are_those_of_the_normalization() -> None:
    forms = traditional_forms()
    assert forms["學"] == "学"
    assert forms["會"] == "会"
    assert "学" not in forms
    assert 2500 < len(forms) < 6000


@pytest.mark.parametrize("tied", [True, False])
def test_every_character_reads_and_is_guessed_as_its_simplified_form(tied: bool) -> None:
    tokenizer = from_vocabulary(build_vocabulary([TEXT]))
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), tie_word_embeddings=tied, **shape)).eval()
    with torch.no_grad():
        model.cls.predictions.bias.normal_()
    old_size = len(tokenizer)
    before = tokenizer(TRADITIONAL, return_tensors="pt")["input_ids"]
    assert (before == tokenizer.unk_token_id).any()
    with torch.no_grad():
        expected = model(**tokenizer(SIMPLIFIED, return_tensors="pt")).logits
        tokenizer, added = add_entries(model, tokenizer, traditional_forms())
        ids = tokenizer(TRADITIONAL, return_tensors="pt")["input_ids"]
        found = model(ids).logits
    assert added == len(tokenizer) - old_size > 10
    assert tokenizer.unk_token_id not in ids
    torch.testing.assert_close(found[..., :old_size], expected)
    old, new = (tokenizer.convert_tokens_to_ids(char) for char in "学學")
    torch.testing.assert_close(found[..., new], found[..., old])
    assert add_entries(model, tokenizer, traditional_forms())[1] == 0  # twice is once


def test_the_plain_pipeline_reads_traditional_text(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder := tmp_path / "model").mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "README.md").write_text("the card", encoding="utf-8")
    (folder / "model.onnx").write_bytes(b"old")
    assert main([str(folder), str(tmp_path / "new")]) == 0
    assert "Traditional characters added, 0.0 MB" in capsys.readouterr().out
    assert (tmp_path / "new/README.md").exists()
    assert not (tmp_path / "new/model.onnx").exists()
    found = []
    for name, text in ((folder, SIMPLIFIED), (tmp_path / "new", TRADITIONAL), (folder, TRADITIONAL)):
        tag = pipeline("token-classification", model=str(name), tokenizer=str(name), ignore_labels=[])
        found.append(
            [(each["entity"], each["start"], each["end"], round(float(each["score"]), 5)) for each in tag(text)]
        )
    assert found[0] == found[1] != found[2]
    new = AutoModelForTokenClassification.from_pretrained(tmp_path / "new")
    assert new.config.vocab_size == len(load_fast_tokenizer(str(tmp_path / "new")))
    assert json.loads((tmp_path / "new/tokenizer_config.json").read_text(encoding="utf-8"))["model_max_length"] == 64
    assert main([str(folder), str(tmp_path / "new")]) == 2
    assert "is there already; name a folder that is not" in capsys.readouterr().err


def test_the_encoder_here_gets_them(tmp_path: Path) -> None:
    added = add_traditional("models/encoder", tmp_path / "new")
    assert 1500 < added < 3000
    model = BertForMaskedLM.from_pretrained(tmp_path / "new")
    assert model.config.vocab_size == 8534 + added
