"""What a model folder may hold: files of its own, of bounded size, that say the same of the network, and nothing that runs.

A folder comes from the Hub or from a stranger. Everything here is decided from a few kilobytes of headers, before a
tensor is allocated.
"""

from __future__ import annotations

import json
import math
import mmap
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = [
    "ExtractorError",
    "check_config",
    "check_files",
    "check_onnx",
    "check_tokenizer",
    "check_weights",
    "compare_weights",
    "read_json",
    "row_length",
]


class ExtractorError(ValueError):
    """A model folder, device or precision that cannot be used; the message says what to do."""


# ---- files ----

_LARGEST = {".json": 256 * 2**20}
"""Bytes; the largest tokenizer.json known has 35 MB (a vocabulary of 262,144), and a config.json a few kilobytes."""
_LARGEST_CONFIG = 4 * 2**20


def check_files(folder: Path, files: Iterable[str]) -> None:
    """That the files are the folder's own: no link leads out of it, but into the blobs of the same repository in the
    Hub's cache. Raises `ExtractorError`."""
    root = folder.resolve()
    within = [root]
    if root.parent.name == "snapshots":  # models--user--name/snapshots/<commit>/config.json → ../../blobs/<hash>
        within.append(root.parent.parent / "blobs")
    for name in files:
        path = folder / name
        if not any(path.resolve().is_relative_to(place) for place in within):
            raise ExtractorError(f"{path}: is a link that leads out of the model folder; put the file itself there")
        largest = _LARGEST_CONFIG if name.endswith("config.json") else _LARGEST.get(path.suffix)
        size = path.stat().st_size
        if largest and size > largest:
            raise ExtractorError(f"{path}: has {size / 2**20:,.0f} MB; at most {largest / 2**20:,.0f} MB are read")
    if (folder / "adapter_config.json").exists():
        raise ExtractorError(
            f"{folder / 'adapter_config.json'}: names another model to load in place of this one; merge the adapter, and "
            "save the whole model (peft: merge_and_unload)"
        )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises `ExtractorError`."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExtractorError(f"{path}: is not readable as JSON ({error})") from error
    except RecursionError:
        raise ExtractorError(f"{path}: is not readable as JSON (nested too deeply)") from None
    if not isinstance(value, dict):
        raise ExtractorError(f"{path}: holds a JSON {type(value).__name__}; expected an object")
    return value


# ---- config.json ----

_RUNS = {
    "auto_map": "code of its own",
    "custom_pipelines": "code of its own",
    "quantization_config": "a quantizer",
    "attn_implementation": "a kernel by name",
    "_attn_implementation": "a kernel by name",
    "experts_implementation": "a kernel by name",
    "_experts_implementation": "a kernel by name",
}
"""Keys by which transformers would run code from the folder, or fetch a compiled kernel or a package's loader."""

# The sizes that config.json states, and the tensors that have them: a name's end, and which axis. Of models of the BERT
# family (BERT, RoBERTa, ELECTRA …); where a tensor bears another name its row says nothing.
_SIZES = (
    ("vocab_size", "embeddings.word_embeddings.weight", 0),
    ("max_position_embeddings", "embeddings.position_embeddings.weight", 0),
    ("type_vocab_size", "embeddings.token_type_embeddings.weight", 0),
    ("hidden_size", "attention.self.query.weight", 1),
    ("intermediate_size", "intermediate.dense.weight", 0),
    ("num_labels", "classifier.weight", 0),
)
_LAYER = re.compile(r"\blayer\.([0-9]+)\.")
_MOST = 2**24
"""No size is larger, whatever the model's type: the largest vocabularies have a million entries."""
_COUNTS = re.compile(r"(?:_size|_layers|_heads|_embeddings|_dim|_groups|_labels|^dim|^n_layers|^n_heads)$")


def check_config(config: Mapping[str, Any], path: Path) -> None:
    """That `config`, read from `path`, asks for nothing to be run and its sizes are numbers that a network can have.

    Raises:
        ExtractorError: It does not; the message names the key.
    """
    for key, what in _RUNS.items():
        if config.get(key):
            raise ExtractorError(f"{path}: {key} asks for {what}, which renshi does not run; take the key out of it")
    for key, value in config.items():
        if not _COUNTS.search(key) or value is None or isinstance(value, bool):  # tie_word_embeddings
            continue
        if not isinstance(value, int) or not 0 <= value <= _MOST:
            raise ExtractorError(f"{path}: {key} is {_shown(value)}; expected a whole number from 0 to {_MOST:,}")


def row_length(config: Mapping[str, Any], tokenizer_config: Mapping[str, Any], folder: Path) -> int:
    """The longest row that the model reads, special tokens included. Raises `ExtractorError`."""
    limit = tokenizer_config.get("model_max_length", 512)
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit >= _SHORTEST_ROW:
        place = folder / "tokenizer_config.json"
        raise ExtractorError(
            f"{place}: model_max_length is {_shown(limit)}; expected a number of {_SHORTEST_ROW} or more"
        )
    length = int(min(limit, config.get("max_position_embeddings") or 512))
    if length < _SHORTEST_ROW:
        raise ExtractorError(
            f"{folder / 'config.json'}: max_position_embeddings is {length}; "
            f"a model that reads text has {_SHORTEST_ROW} or more"
        )
    return length


_SHORTEST_ROW = 8
"""Tokens; below it no sentence fits, and windows could not overlap."""


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:40]


# ---- tokenizer.json ----


def check_tokenizer(tokenizer: Tokenizer, config: Mapping[str, Any], path: Path) -> None:
    """That its ids are rows of the model's embeddings, and that a text gets one special token before it and one behind.

    Raises:
        ExtractorError: They do not fit together.
    """
    vocabulary, entries = tokenizer.get_vocab(with_added_tokens=True), config.get("vocab_size")
    highest = max(vocabulary.values(), default=-1)
    if isinstance(entries, int) and highest >= entries:
        raise ExtractorError(
            f"{path}: has an id {highest}, where the model's vocab_size is {entries}; the two belong to different models"
        )
    mask = tokenizer.encode("会长").special_tokens_mask
    if len(mask) < 3 or not mask[0] or not mask[-1] or sum(mask) != 2:
        raise ExtractorError(
            f"{path}: does not put one special token before a text and one behind it, as [CLS] and [SEP] stand; "
            "save it with its post-processor"
        )


# ---- model.safetensors ----

_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def check_weights(folder: Path, config: Mapping[str, Any]) -> None:
    """As `compare_weights`. Raises `ExtractorError`."""
    try:
        compare_weights(folder / "model.safetensors", config)
    except ValueError as error:
        raise ExtractorError(
            f"{folder}: the model cannot be loaded ({error}); is model.safetensors complete?"
        ) from error


def compare_weights(path: Path, config: Mapping[str, Any]) -> None:
    """That a safetensors file is whole, and holds the tensors that `config` states, no larger and no smaller.

    Raises:
        ValueError: It does not; the message says which tensor.
    """
    _compare(_read_header(path), config)


def _read_header(path: Path) -> dict[str, list[int]]:
    """The shapes of the tensors by name. Raises `ValueError`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise ValueError(f"its header would have {length:,} bytes, the file has {size:,}")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise ValueError("its header is no JSON") from error
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    shapes, end = {}, 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            shape, (start, stop) = entry["shape"], entry["data_offsets"]
            numbers = [*shape, start, stop]
            wrong = any(type(number) is not int or number < 0 for number in numbers)
            wrong = wrong or math.prod(shape) * _ITEM_BYTES[entry["dtype"]] != stop - start
        except (KeyError, TypeError, ValueError):
            wrong = True
        if wrong:
            raise ValueError(f"its header describes the tensor {name[:60]!r} in a way that makes no sense")
        shapes[name], end = shape, max(end, stop)
    if end != size - 8 - length:
        raise ValueError(f"its tensors would have {end:,} bytes, the file has {size - 8 - length:,} for them")
    return shapes


def _compare(shapes: Mapping[str, list[int]], config: Mapping[str, Any]) -> None:
    stated = {"num_labels": len(config.get("id2label") or ()), **config}
    for key, ending, axis in _SIZES:
        for name, shape in shapes.items():
            if name.endswith(ending) and key in stated and shape[axis : axis + 1] != [stated[key]]:
                raise ValueError(f"{name} is {' × '.join(map(str, shape))}, where config.json has {key} {stated[key]}")
    layers = {int(match[1]) for name in shapes if (match := _LAYER.search(name))}
    stated_layers = stated.get("num_hidden_layers")
    if layers and stated_layers is not None and layers != set(range(min(stated_layers, len(layers) + 1))):
        raise ValueError(f"it has {len(layers)} layers, where config.json has num_hidden_layers {stated_layers}")
    if config.get("model_type") == "bert":
        needed = [ending for _, ending, _ in _SIZES]
        missing = [ending for ending in needed if not any(name.endswith(ending) for name in shapes)]
        if missing:
            raise ValueError(f"it lacks the tensor …{missing[0]}")


# ---- ONNX ----

# ONNX takes tensors from other files by entries {key: "location", value: a path}. In protocol buffers a string is its
# length and its bytes, so the key is this word behind its length, which is the byte 8 (or, oddly written, ends with 0).
_LOCATION = re.compile(rb"(?<=[\x00\x08])location")
_PLAIN = re.compile(rb"\x0a\x08location\x12([\x01-\x7f])")


def check_onnx(path: Path, folder: Path) -> None:
    """That all files from which the network takes its tensors lie in the model folder. Raises `ExtractorError`."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for found in _LOCATION.finditer(content):
            match = _PLAIN.match(content, found.start() - 2)
            name = content[match.end() : match.end() + match[1][0]].decode("utf-8", "replace") if match else ""
            if name and "/" not in name and "\\" not in name and name not in (".", ".."):
                if (beside := path.parent / name).exists():
                    check_files(folder, [beside.relative_to(folder).as_posix()])
                continue
            where = f"{name!r}" if match else "an unreadable place"
            raise ExtractorError(
                f"{path}: takes tensors from {where}, which may lie outside the model folder; export it in one file"
            )
