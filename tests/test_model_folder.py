"""A model folder is not trusted: what is in it runs nothing, leads nowhere else, and takes no more memory than it has bytes."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, normalizers
from tokenizers.processors import TemplateProcessing

from renshi import Extractor
from renshi.model import ExtractorError, find_model
from renshi.model_folder import check_onnx
from renshi.records import Failure, Record
from tests.conftest import PANICS_AT_X

Change = Callable[[Path], None]
GOOD = "省学会会长王进龙出席成立大会并致辞，白敏、李毅等12名同志任副主任委员。"


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def load(folder: Path) -> Extractor:
    return Extractor.from_pretrained(folder, device="cpu", dtype="float32")


def records(extractor: Extractor) -> list[dict[str, Any]]:
    return [item.to_dict() for item in extractor.extract([GOOD])]


def config(**changes: Any) -> Change:
    return lambda folder: rewrite(folder / "config.json", changes)


def rewrite(path: Path, changes: dict[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def tokenizer_config(**changes: Any) -> Change:
    return lambda folder: rewrite(folder / "tokenizer_config.json", changes)


def tokenizer(**changes: Any) -> Change:
    return lambda folder: rewrite(folder / "tokenizer.json", changes)


def file(name: str, content: bytes | Callable[[bytes], bytes]) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content(path.read_bytes()))

    return change


def tensors(edit: Callable[[dict[str, Any]], None], keep: bool = True) -> Change:
    """An edit of the header of model.safetensors, before the same bytes."""

    def change(content: bytes) -> bytes:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        edit(header)
        new = json.dumps(header).encode()
        return struct.pack("<Q", len(new)) + new + content[8 + length :]

    return file("model.safetensors", change)


def first(header: dict[str, Any]) -> dict[str, Any]:
    return next(entry for name, entry in header.items() if name != "__metadata__")


def claim_terabytes(header: dict[str, Any]) -> None:
    last = max((entry for name, entry in header.items() if name != "__metadata__"), key=lambda e: e["data_offsets"][1])
    last["shape"], last["data_offsets"][1] = [10**13], last["data_offsets"][0] + 4 * 10**13


def edit_tokenizer(edit: Callable[[Tokenizer], None]) -> Change:
    def change(folder: Path) -> None:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        edit(tokenizer)
        tokenizer.save(str(folder / "tokenizer.json"))

    return change


def no_special_tokens(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])


def link(name: str, target: str) -> Change:
    def change(folder: Path) -> None:
        (folder.parent / "elsewhere").mkdir(exist_ok=True)
        shutil.move(folder / name, folder.parent / "elsewhere" / name)
        (folder / name).symlink_to(target)

    return change


DEEP = b'{"a":' * 200_000 + b"1" + b"}" * 200_000

# What was done to a good folder, and what is said.
REFUSED: dict[str, tuple[Change, str]] = {
    "a hidden size of a million": (config(hidden_size=10**6), r"where config.json has hidden_size 1000000\); is model.safetensors complete"),
    "a hidden size beyond all": (config(hidden_size=10**12), r"config.json: hidden_size is 1000000000000; expected a whole number from 0 to 16,777,216"),
    "a size that is no number": (config(intermediate_size="64"), r'config.json: intermediate_size is "64"; expected a whole number'),
    "a negative size": (config(num_attention_heads=-1), r"config.json: num_attention_heads is -1; expected"),
    "no heads": (config(num_attention_heads=0), r"cannot be loaded"),
    "heads that do not divide": (config(num_attention_heads=5), r"cannot be loaded \(ValueError: hidden_size 32 is no multiple of num_attention_heads 5"),
    "a million layers": (config(num_hidden_layers=10**6), r"it has 2 layers, where config.json has num_hidden_layers 1000000"),
    "a layer less": (config(num_hidden_layers=1), r"it has 2 layers, where config.json has num_hidden_layers 1"),
    "another vocabulary size": (config(vocab_size=10**6), r"word_embeddings.weight is [0-9]+ × 32, where config.json has vocab_size 1000000"),
    "positions that are not there": (config(max_position_embeddings=10**6), r"position_embeddings.weight is 128 × 32, where config.json has max_position_embeddings 1000000"),
    "positions left out": (config(max_position_embeddings=64), r"position_embeddings.weight is 128 × 32"),
    "no positions": (config(max_position_embeddings=4), r"max_position_embeddings is 4; a model that reads text has 8 or more"),
    "another network": (config(model_type="gpt9"), r"the model cannot be loaded \(ValueError"),
    "code in the folder": (config(auto_map={"AutoModelForTokenClassification": "run.Model"}), r"auto_map asks for code of its own, which renshi does not run"),
    "a quantizer": (config(quantization_config={"quant_method": "bitsandbytes"}), r"quantization_config asks for a quantizer"),
    "a kernel from the Hub": (config(attn_implementation="nobody/kernel"), r"attn_implementation asks for a kernel by name"),
    "an activation that is none": (config(hidden_act="__import__('os')"), r"the model cannot be loaded \(KeyError"),
    "an adapter": (file("adapter_config.json", b'{"base_model_name_or_path": "nobody/other"}'), r"adapter_config.json: names another model to load in place of this one"),
    "a config too large": (file("config.json", b"{" + b" " * 5_000_000 + b"}"), r"config.json: has 5 MB; at most 4 MB are read"),
    "a config nested too deeply": (file("config.json", DEEP[:1_000_005] + b"1"), r"config.json: is not readable as JSON \(nested too deeply\)"),
    "a config of other bytes": (file("config.json", b"\xff\xfe"), r"config.json: is not readable as JSON"),
    "a row of two": (tokenizer_config(model_max_length=2), r"tokenizer_config.json: model_max_length is 2; expected a number of 8 or more"),
    "a row of a word": (tokenizer_config(model_max_length="512"), r'model_max_length is "512"; expected a number of 8 or more'),
    "a row that is no number": (tokenizer_config(model_max_length=float("nan")), r"model_max_length is NaN; expected a number"),
    "a truncated file": (file("model.safetensors", lambda content: content[:-1]), r"model cannot be loaded \(its tensors would have [0-9,]+ bytes, the file has"),
    "a longer file": (file("model.safetensors", lambda content: content + b"x"), r"its tensors would have [0-9,]+ bytes, the file has"),
    "an empty file": (file("model.safetensors", b""), r"its header would have 0 bytes, the file has 0"),
    "a header longer than the file": (file("model.safetensors", b"\xff" * 8), r"its header would have 18,446,744,073,709,551,615 bytes, the file has 8"),
    "a header that is no JSON": (file("model.safetensors", struct.pack("<Q", 4) + b"\x80\x04]q"), r"its header is no JSON"),
    "a header nested too deeply": (file("model.safetensors", struct.pack("<Q", len(DEEP)) + DEEP), r"its header is no JSON"),
    "a pickle of that name": (file("model.safetensors", pickle.dumps({"a": 1}) * 9), r"its header would have"),
    "terabytes claimed": (tensors(claim_terabytes), r"its tensors would have [0-9,]{17,} bytes, the file has"),
    "a shape that is not that of its bytes": (tensors(lambda header: first(header).update(shape=[1, 2, 3])), r"describes the tensor '.*' in a way that makes no sense"),
    "a shape below nothing": (tensors(lambda header: first(header).update(shape=[-4, -8])), r"in a way that makes no sense"),
    "a type that is none": (tensors(lambda header: first(header).update(dtype="PICKLE")), r"in a way that makes no sense"),
    "no head": (tensors(lambda header: header.update(other=header.pop("classifier.weight"))), r"it lacks the tensor …classifier.weight"),
    "no bias": (tensors(lambda header: header.update(other=header.pop("classifier.bias"))), r"KeyError: lacks 'classifier.bias'"),
    "weights that are no numbers": (file("model.safetensors", lambda content: content[:-4] + struct.pack("<f", float("nan"))), r"the weights .* are not all numbers \(NaN or infinite\)"),
    "weights without end": (file("model.safetensors", lambda content: content[:-4] + struct.pack("<f", float("inf"))), r"are not all numbers"),
    "a vocabulary larger than the embeddings": (edit_tokenizer(lambda t: t.add_tokens(["某某"] * 1)), r"tokenizer.json: has an id [0-9]+, where the model's vocab_size is [0-9]+; the two belong"),
    "no special tokens": (edit_tokenizer(no_special_tokens), r"does not put one special token before a text and one behind it"),
    "a tokenizer that panics": (tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}), r"tokenizer.json: is not a tokenizer \(Precompiled: .*\)"),
    "a tokenizer nested too deeply": (file("tokenizer.json", DEEP), r"tokenizer.json: is not a tokenizer"),
    "a link out": (link("config.json", "../elsewhere/config.json"), r"config.json: is a link that leads out of the model folder; put the file itself there"),
    "an absolute link out": (link("model.safetensors", "/etc/hostname"), r"model.safetensors: is a link that leads out of the model folder"),
    "a link in a circle": (link("config.json", "config.json"), r"lacks config.json"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(folder: Path, change: Change, message: str) -> None:
    change(folder)
    tracemalloc.start()
    with pytest.raises(ExtractorError, match=message):
        load(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000_000


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_what_lies_beside_is_not_run(folder: Path) -> None:
    expected = records(load(folder))
    payload = pickle.dumps(Runs(folder.parent / "ran"))
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "model.pkl", "rng_state.pth"):
        (folder / name).write_bytes(payload)
    code = f"import os; os.mkdir({str(folder.parent / 'ran')!r})"
    for name in (
        "run.py",
        "modeling_bert.py",
        "setup.py",
        "conftest.py",
        "handler.py",
        "__init__.py",
        "sitecustomize.py",
    ):
        (folder / name).write_text(code)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"x": "../../x.safetensors"}}')
    (folder / "chat_template.jinja").write_text("{{ cycler.__init__.__globals__.os.system('id') }}")
    rewrite(
        folder / "tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["run.T", None]}, "tokenizer_class": "run.T"}
    )
    assert records(load(folder)) == expected
    assert not (folder.parent / "ran").exists()


def test_links_of_the_hubs_cache_are_the_folders_own(folder: Path, tmp_path: Path) -> None:
    expected = records(load(folder))
    repository = tmp_path / "hub" / "models--nobody--model"
    snapshot = repository / "snapshots" / "abc"
    (repository / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(folder.iterdir())):
        shutil.move(path, repository / "blobs" / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    assert records(load(snapshot)) == [item | {"model": str(snapshot)} for item in expected]
    (tmp_path / "latest").symlink_to(snapshot)  # a link to the folder is the user's own
    assert find_model(tmp_path / "latest") == tmp_path / "latest"
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to("../../../other/blobs/0")
    (tmp_path / "hub" / "other" / "blobs").mkdir(parents=True)
    shutil.copy(repository / "blobs" / "1", tmp_path / "hub" / "other" / "blobs" / "0")
    with pytest.raises(ExtractorError, match="leads out of the model folder"):
        load(snapshot)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
def test_a_pipe_is_no_file(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(ExtractorError, match=r"lacks config\.json"):
        load(folder)


@pytest.mark.parametrize(
    "normalizer",
    [
        normalizers.Prepend("▁▁"),
        normalizers.Replace(Regex("."), ""),
        normalizers.Replace("会", "会" * 50),
        normalizers.Replace(Regex("学会"), ""),
        normalizers.Sequence([normalizers.NFKD(), normalizers.Strip(), normalizers.Lowercase()]),
    ],
    ids=["prepend", "nothing left", "longer", "shorter", "sequence"],
)
def test_a_tokenizer_that_rewrites_the_text_moves_no_offsets_out_of_it(folder: Path, normalizer: Any) -> None:
    edit_tokenizer(lambda tokenizer: setattr(tokenizer, "normalizer", normalizer))(folder)
    try:
        extractor = load(folder)
    except ExtractorError as error:
        assert "special token" in str(error)  # nothing is left of the text between them  # noqa: PT017
        return
    for record in extractor.extract([GOOD, "会", GOOD * 10]):
        assert isinstance(record, Record)
        for entity in record.entities:
            assert 0 <= entity.start < entity.end
            assert record.text[entity.start : entity.end] == entity.text


@pytest.mark.parametrize(
    ("normalizer", "bad", "reason"),
    [
        (PANICS_AT_X, "某x某", "index out of bounds: the len is 256 but the index is 5104"),
        pytest.param(
            {"type": "Replace", "pattern": {"Regex": "(x+x+)+y"}, "content": ""},
            "x" * 40,
            "Onig: Regex search error: retry-limit-in-match over",
            marks=pytest.mark.slow,  # seconds until it gives up
        ),
    ],
    ids=["a table that leads nowhere", "a regular expression that gives up"],
)
def test_a_tokenizer_that_panics_costs_its_documents_only(
    folder: Path, normalizer: dict[str, Any], bad: str, reason: str
) -> None:
    tokenizer(normalizer=normalizer)(folder)
    good = iter(load(folder).extract([GOOD, GOOD, "会"]))
    gone = Failure("f", "OSError", "gone")
    for number, item in enumerate(load(folder).extract([GOOD, bad, bad + GOOD, GOOD, gone, "会"])):
        if number in (1, 2):
            message = f"{number}: the model's tokenizer.json breaks off at it ({reason})"
            assert item == Failure(str(number), "TokenizerError", message)
        else:
            assert item == gone if number == 4 else item.to_dict() == {**next(good).to_dict(), "id": str(number)}
    assert next(good, None) is None


LOCATION = b"\x0a\x08location\x12"
OUTSIDE: dict[str, tuple[bytes, str]] = {
    "a parent": (LOCATION + b"\x0a../secrets", "takes tensors from '../secrets'"),
    "a path": (LOCATION + b"\x0b/etc/passwd", "takes tensors from '/etc/passwd'"),
    "Windows": (LOCATION + b"\x05C:\\up", "takes tensors from"),
    "the folder itself": (LOCATION + b"\x02..", r"takes tensors from '\.\.'"),
    "nothing": (LOCATION, "takes tensors from an unreadable place"),
    "the value first": (b"\x12\x0b/etc/passwd\x0a\x08location", "takes tensors from an unreadable place"),
    "a length in two bytes": (b"\x0a\x88\x00location\x12\x0b/etc/passwd", "takes tensors from an unreadable place"),
    "a link": (LOCATION + b"\x04link", "is a link that leads out of the model folder"),
}


@pytest.mark.parametrize(("content", "message"), OUTSIDE.values(), ids=OUTSIDE)
def test_onnx_takes_no_tensors_from_elsewhere(tmp_path: Path, content: bytes, message: str) -> None:
    (folder := tmp_path / "model" / "onnx").mkdir(parents=True)
    (folder / "link").symlink_to("/etc/hostname")
    path = folder / "model.onnx"
    path.write_bytes(b"\x08\x07" + LOCATION + b"\x07weights" + content[:1] + content[1:])
    with pytest.raises(ExtractorError, match=message):
        check_onnx(path, tmp_path / "model")
    for harmless in (b"", b"\x08\x07/bert/allocation/location_1", LOCATION + b"\x11model.safetensorsj"):
        path.write_bytes(harmless)
        check_onnx(path, tmp_path / "model")
