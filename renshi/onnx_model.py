"""The same network run by ONNX Runtime: a model folder's ``onnx/``, needing neither torch nor transformers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renshi.model import MODEL_FILES, ExtractorError, pad_rows, read_tokenizer

__all__ = ["ONNX_FILES", "OnnxTokenClassifier", "onnx_files"]

ONNX_FILES = {"float32": "onnx/model.onnx", "int8": "onnx/model_quantized.onnx"}
"""The network in each precision, under the names that transformers.js looks for."""


def onnx_files(dtype: str) -> list[str]:
    """The files that a model folder must hold for a precision. Raises `ExtractorError` for an unknown one."""
    dtype = _choose_dtype(dtype)
    return [*(name for name in MODEL_FILES if name != "model.safetensors"), ONNX_FILES[dtype]]


def _choose_dtype(dtype: str) -> str:
    if dtype == "auto":
        return "float32"  # the records of torch; int8 is smaller and faster, and a little less exact
    if dtype in ONNX_FILES:
        return dtype
    raise ExtractorError(f"dtype {dtype!r}: the backend onnx has auto, {', '.join(ONNX_FILES)}")


class OnnxTokenClassifier:
    """A token classifier in ONNX with its tokenizer, on the CPU.

    Attributes:
        name: The model's name as records give it.
        tokenizer: The fast tokenizer of the folder.
        max_tokens: The longest row that it reads, special tokens included.
        device, dtype: ``cpu``; ``float32`` or ``int8``.
    """

    device = "cpu"

    def __init__(self, folder: Path, name: str, device: str = "auto", dtype: str = "auto") -> None:
        """Load from `folder`. Raises `ExtractorError`."""
        if device not in ("auto", "cpu"):
            raise ExtractorError(
                f"device {device!r}: the backend onnx runs on the CPU; use cpu or auto, or backend torch"
            )
        self.name = name
        self.tokenizer, self.max_tokens = read_tokenizer(folder)
        self.dtype = _choose_dtype(dtype)
        self._session = _load(folder / ONNX_FILES[self.dtype])

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        """(rows, longest row, tags) float32 of one batch of token ids; what stands behind a row's end is meaningless."""
        input_ids, real = pad_rows(rows, pad_id)
        (logits,) = self._session.run(["logits"], {"input_ids": input_ids, "attention_mask": real.astype(np.int64)})
        return logits  # type: ignore[no-any-return]


def _load(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ExtractorError('backend onnx: onnxruntime is not installed here; pip install "renshi[onnx]"') from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    # Idle threads would otherwise spin, taking the processor from the decoding between two batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's own classes derive from Exception alone
        reason = str(error).strip().split("\n")[0]
        raise ExtractorError(f"{path}: the model cannot be loaded ({reason}); is the file complete?") from error


def _threads() -> int:
    """As torch has it: OMP_NUM_THREADS, else the processors that this process may use (ONNX Runtime would count, and
    pin its threads to, those of the whole machine, whatever share of it a container was given)."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
