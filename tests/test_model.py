"""What a model folder must be, and what is said when it is not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForTokenClassification

from renshi import bert
from renshi.bert import _ALONE, _blocks, _pieces, places
from renshi.model import MODEL_FILES, ExtractorError, TokenClassifier, find_model, supports_bfloat16


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.mark.parametrize("name", MODEL_FILES)
def test_names_the_file_that_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(
        ExtractorError, match=rf"model: lacks {name}; a model folder holds config.json, model.safetensors"
    ):
        find_model(folder)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ExtractorError, match="there is no such model folder; give a folder or a Hub id such as user/name"
    ):
        find_model(tmp_path / "nothing")


def test_a_file_where_a_folder_should_be(folder: Path) -> None:
    with pytest.raises(ExtractorError, match="is a file; give the folder that holds"):
        find_model(folder / "config.json")


def test_a_hub_id_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ExtractorError, match="nobody/nothing: there is no such folder here, and as a Hub id it could not"
    ):
        find_model("nobody/nothing")


def test_other_labels_are_refused_by_name(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "O", "1": "B-LOC", "2": "I-LOC"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ExtractorError, match=r"other labels \(3: O, B-LOC, I-LOC\) than renshi reads \(31: O, B-PER, I-PER"
    ):
        TokenClassifier(folder, "x")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", r"config.json: is not readable as JSON"),
        ("config.json", "[]", r"config.json: holds a JSON list; expected an object"),
        ("tokenizer.json", "{}", r"tokenizer.json: is not a tokenizer"),
        ("model.safetensors", "not tensors", r"the model cannot be loaded \(.*is model.safetensors complete\?"),
    ],
)
def test_damaged_files_are_named(folder: Path, name: str, content: str, message: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(ExtractorError, match=message):
        TokenClassifier(folder, "x")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(folder: Path) -> None:
    with pytest.raises(ExtractorError, match="device 'cuda': torch sees no CUDA device here; use cpu or auto"):
        TokenClassifier(folder, "x", device="cuda")


def test_unknown_device_and_dtype(folder: Path) -> None:
    with pytest.raises(ExtractorError, match="device 'gpu' is unknown; devices are auto, cpu, cuda"):
        TokenClassifier(folder, "x", device="gpu")
    with pytest.raises(ExtractorError, match="dtype 'half' is unknown; dtypes are auto, float32, bfloat16, float16"):
        TokenClassifier(folder, "x", dtype="half")


def test_what_stands_beside_a_row_changes_nothing(folder: Path) -> None:
    model = TokenClassifier(folder, "x", device="cpu", dtype="float32")
    rows = [np.array(ids) for ids in ([2, 7, 8, 3], [2, *range(5, 25), 3], [2, 9, 10, 3])]
    alone = np.concatenate([model.logits([row], 0) for row in rows])
    np.testing.assert_allclose(model.logits(rows, 0), alone, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_computes_what_transformers_computes(folder: Path, dtype: str) -> None:
    rows = [np.array([2, *(np.arange(length) % 40 + 5), 3]) for length in (59, 54, 46, 30, 30, 29, 11, 1)]
    oracle = AutoModelForTokenClassification.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    with torch.inference_mode():
        expected = [oracle(input_ids=torch.from_numpy(row[None])).logits[0].float().numpy() for row in rows]
    found = TokenClassifier(folder, "x", device="cpu", dtype=dtype).logits(rows, 0)
    # In bfloat16 a fused GELU is rounded once where a separate one is rounded twice.
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-5 if dtype == "float32" else 0.05)


def test_products_in_pieces_are_those_of_whole_rows(folder: Path) -> None:
    rows = [np.array([2, *np.arange(length) % 40 + 5, 3]) for length in range(59, 29, -1)]  # 1,395 tokens
    oracle = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        expected = [oracle(input_ids=torch.from_numpy(row[None])).logits[0].numpy() for row in rows]
    found = TokenClassifier(folder, "x", device="cpu", dtype="float32").logits(rows, 0)
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_by_products_is_that_of_torch(dtype: torch.dtype) -> None:
    parts = torch.randn(3, 4, 2, 48, 16, generator=torch.Generator().manual_seed(0))
    parts[0] /= 4
    parts = parts.to(dtype)
    mask = torch.zeros(4, 1, 1, 48, dtype=dtype)
    mask[1, ..., 40:] = mask[3, ..., 1:] = -torch.inf
    for added in (None, mask):
        expected, found = bert._attend_at_once(parts, added), bert._attend_by_products(parts, added)
        torch.testing.assert_close(found, expected, atol=1e-5 if dtype == torch.float32 else 0.02, rtol=0)


@given(st.lists(st.integers(1, 600), min_size=1, max_size=40), st.sampled_from([1, 4, 12]))
def test_attention_reads_every_row_whole_and_nothing_twice(lengths: list[int], heads: int) -> None:
    """With numbers in the place of tokens."""
    rows = iter(torch.arange(sum(lengths)).split(lengths))
    end = 0
    for block in _blocks(lengths, heads, torch.float32):
        start, end = end, end + block.tokens
        tokens = torch.arange(start, end)
        gathered = tokens if block.gather is None else tokens[block.gather]
        assert torch.equal(tokens, gathered if block.back is None else gathered[block.back])
        for number, found in enumerate(gathered.view(block.rows, block.length)):
            row = next(rows)
            empty = block.length - len(row)
            assert 0 <= empty < 16
            assert torch.equal(found, torch.cat([row, row[-1:].expand(empty)]))
            if block.mask is None:
                assert not empty
            else:
                assert block.mask[number, 0, 0].tolist() == [0.0] * len(row) + [-torch.inf] * empty
    assert next(rows, None) is None


@pytest.mark.skipif(not supports_bfloat16("cpu"), reason="no native bfloat16, and so not this attention")
def test_a_row_gives_the_same_to_the_last_bit_whatever_stands_beside_it(folder: Path) -> None:
    model = TokenClassifier(folder, "x", device="cpu", dtype="bfloat16")
    rows = [np.array([2, *np.arange(length) % 40 + 5, 3]) for length in (59, 54, 46, 46, 45, 30, 11, 1)]
    alone = [model.logits([row], 0) for row in rows]
    for together in (rows, rows * 3, rows[2:5]):
        expected = [alone[next(n for n, row in enumerate(rows) if row is other)] for other in together]
        np.testing.assert_array_equal(model.logits(together, 0), np.concatenate(expected))


def test_blocks_are_of_few_sizes() -> None:
    """Each number of rows with each length is two programs that stay in memory."""
    rows = {block.rows for count in range(1, 200) for block in _blocks([250] * count, 4, torch.float32)}
    assert rows == {1, 2, 4, 8, 16}
    assert {block.rows for block in _blocks([512] * 5, 12, torch.float32)} == {1}


def test_next_to_nothing_is_computed_for_padding() -> None:
    assert places([254, 62]) == 320
    assert places([256] * 16) == 4096


def test_pieces_are_of_few_sizes() -> None:
    """Each size is a program that stays in memory."""
    for tokens in range(1, 5000):
        sizes = _pieces(tokens)
        assert tokens <= sum(sizes) <= tokens + (127 if tokens > 2048 else 31)
        assert set(sizes) <= {*range(2048, 4097, 128), 1024, 512, 256, 128, 64, 32, *_ALONE}
        assert len(sizes) == 1 or tokens > _ALONE[-1]
        assert len(sizes) <= tokens // 4096 + 6
        assert sum(sizes) <= tokens + max(7, tokens // 4)


@pytest.mark.parametrize("change", [{"hidden_act": "relu"}, {"model_type": "roberta"}])
def test_other_networks_are_left_to_transformers(folder: Path, change: dict[str, str]) -> None:
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    if change.get("model_type"):
        weights = {name.replace("bert.", "roberta."): weight for name, weight in weights.items()}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    row = np.array([2, 7, 8, 3])
    oracle = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        expected = oracle(input_ids=torch.from_numpy(row[None])).logits[0].numpy()
    found = TokenClassifier(folder, "x", device="cpu", dtype="float32").logits([row, row[:2]], 0)
    np.testing.assert_allclose(found[:4], expected, atol=1e-5)


def test_a_weight_that_is_missing_or_of_another_shape_is_named(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ExtractorError, match=r"KeyError: lacks 'classifier\.bias'"):
        TokenClassifier(folder, "x", device="cpu")
    weights["classifier.bias"] = torch.zeros(7)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ExtractorError, match=r"classifier.bias has the shape \(7,\); config.json says \(31,\)"):
        TokenClassifier(folder, "x", device="cpu")


def test_weights_named_as_tensorflow_named_them(folder: Path) -> None:
    expected = TokenClassifier(folder, "x", device="cpu", dtype="float32").logits([np.array([2, 7, 3])], 0)
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): weight
        for name, weight in load_file(folder / "model.safetensors").items()
    }
    save_file(weights, folder / "model.safetensors")
    found = TokenClassifier(folder, "x", device="cpu", dtype="float32").logits([np.array([2, 7, 3])], 0)
    np.testing.assert_array_equal(found, expected)


def test_reads_no_more_than_the_tokenizers_limit(folder: Path) -> None:
    assert TokenClassifier(folder, "x").max_tokens == 64
