"""The same network run by ONNX Runtime: a model folder's ``onnx/``, needing neither torch nor transformers.

``model.onnx`` holds the weights too, as other programs want it; ``graph.onnx`` (40 KB) takes them from the folder's
``model.safetensors``, so that a folder for both backends, such as the one in the package, holds them once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renshi.model import MODEL_FILES, ExtractorError, pad_rows, read_calibration, read_config, read_tokenizer
from renshi.model_folder import check_onnx, compare_weights

__all__ = ["GRAPH_FILE", "ONNX_FILES", "WEIGHT_PREFIX", "OnnxTokenClassifier", "onnx_files"]

ONNX_FILES = {"float32": "onnx/model.onnx", "int8": "onnx/model_quantized.onnx"}
"""The network in each precision, under the names that transformers.js looks for."""

GRAPH_FILE = "onnx/graph.onnx"
"""The network in float32 without its weights."""
WEIGHT_PREFIX = "model."
"""What stands before a weight's name of model.safetensors in the graph."""


def onnx_files(dtype: str, folder: Path | None = None) -> list[str]:
    """The files that a model folder must hold for a precision; the graph without weights where `folder` has it and not
    the whole. Raises `ExtractorError` for an unknown precision."""
    dtype = _choose_dtype(dtype)
    if folder and dtype == "float32" and _file(folder, dtype) == GRAPH_FILE:
        return [*MODEL_FILES, GRAPH_FILE]
    return [*(name for name in MODEL_FILES if name != "model.safetensors"), ONNX_FILES[dtype]]


def _choose_dtype(dtype: str) -> str:
    if dtype == "auto":
        return "float32"  # the records of torch; int8 is smaller and faster, and a little less exact
    if dtype in ONNX_FILES:
        return dtype
    raise ExtractorError(f"dtype {dtype!r}: the backend onnx has auto, {', '.join(ONNX_FILES)}")


def _file(folder: Path, dtype: str) -> str:
    whole = ONNX_FILES[dtype]
    graph = dtype == "float32" and not (folder / whole).is_file() and (folder / GRAPH_FILE).is_file()
    return GRAPH_FILE if graph else whole


class OnnxTokenClassifier:
    """A token classifier in ONNX with its tokenizer, on the CPU.

    Attributes:
        name: The model's name as records give it.
        tokenizer: The fast tokenizer of the folder.
        max_tokens: The longest row that it reads, special tokens included.
        calibration: What the folder says of its scores.
        device, dtype: ``cpu``; ``float32`` or ``int8``.
    """

    device = "cpu"

    def __init__(self, folder: Path, name: str, device: str = "auto", dtype: str = "auto") -> None:
        """Load from `folder`. Raises `ExtractorError`."""
        if device not in ("auto", "cpu"):
            raise ExtractorError(
                f"device {device!r}: the backend onnx runs on the CPU; use cpu or auto, or backend torch"
            )
        self.name, self.folder = name, folder
        self.tokenizer, self.max_tokens = read_tokenizer(folder)
        self.calibration = read_calibration(folder)
        self.dtype = _choose_dtype(dtype)
        self.why_dtype = "the records of torch in float32" if dtype == "auto" else "as asked for"
        self._session = _load(folder, _file(folder, self.dtype))

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        """(tokens of all rows, tags) float32 of one batch of token ids, the rows one behind the other."""
        input_ids, real = pad_rows(rows, pad_id)
        (logits,) = self._session.run(["logits"], {"input_ids": input_ids, "attention_mask": real.astype(np.int64)})
        return logits[real]  # type: ignore[no-any-return]


def _load(folder: Path, file: str) -> Any:
    path = folder / file
    try:
        import onnxruntime
    except ImportError as error:
        raise ExtractorError('backend onnx: onnxruntime is not installed here; pip install "renshi[onnx]"') from error
    check_onnx(path, folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    # Idle threads would otherwise spin, taking the processor from the decoding between two batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors
    try:
        if file == GRAPH_FILE:
            compare_weights(folder / "model.safetensors", read_config(folder))
            names, weights = zip(*read_weights(folder / "model.safetensors"), strict=True)
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(weight) for weight in weights]
            options.add_external_initializers([WEIGHT_PREFIX + name for name in names], values)
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's own classes derive from Exception alone
        reason = str(error).strip().split("\n")[0]
        raise ExtractorError(f"{path}: the model cannot be loaded ({reason}); is the file complete?") from error


def read_weights(path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The tensors of a safetensors file by name, in float32. (The library of that name has no bfloat16 without torch.)

    Raises:
        ValueError: The file ends early, or holds another type than float32 and bfloat16.
    """
    content = np.memmap(path, np.uint8, "r")
    size = int.from_bytes(content[:8].tobytes(), "little")
    if size > len(content) - 8:
        raise ValueError("the header is longer than the file")
    header, body = json.loads(content[8 : 8 + size].tobytes()), content[8 + size :]
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        raw = body[start:end].tobytes()
        if entry["dtype"] == "BF16":  # the upper half of a float32
            values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        elif entry["dtype"] == "F32":
            values = np.frombuffer(raw, "<f4")
        else:
            raise ValueError(f"{name} is of type {entry['dtype']}; expected BF16 or F32")
        yield name, values.reshape(entry["shape"])


def _threads() -> int:
    """As torch has it: OMP_NUM_THREADS, else the processors that this process may use (ONNX Runtime would count, and
    pin its threads to, those of the whole machine, whatever share of it a container was given)."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
