"""The neural network: where it comes from, where it runs, in which precision; the one module that knows torch.

(`onnx_model` runs the same network without torch.)"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from renshi.encode import TokenizerError, panics_are_errors
from renshi.labels import TAGS
from renshi.model_folder import (
    ExtractorError,
    check_config,
    check_files,
    check_tokenizer,
    check_weights,
    read_json,
    row_length,
)

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

__all__ = [
    "BACKENDS",
    "DEVICES",
    "DTYPES",
    "MODEL_FILES",
    "TOKENIZER_FILES",
    "Calibration",
    "ExtractorError",
    "Model",
    "TokenClassifier",
    "cpu_capabilities",
    "find_model",
    "load_model",
    "pad_rows",
    "read_tokenizer",
    "supports_bfloat16",
]

BACKENDS = ("torch", "onnx")
DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("auto", "float32", "bfloat16", "float16")

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
MODEL_FILES = ("config.json", "model.safetensors", *TOKENIZER_FILES)
"""What a model folder must hold. Nothing in it executes; other files are ignored."""

PACKAGED_MODEL = Path(__file__).parent / "default_model"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes scores probabilities, fitted on a dev set by `training.calibrate` and stored in ``config.json``.

    Attributes:
        temperature: The logits are divided by it before probabilities are made of them.
        min_score: The least score with which an entity is worth reporting: the best strict F1 on the dev set.
    """

    temperature: float = 1.0
    min_score: float = 0.0

    def to_dict(self) -> dict[str, float]:
        return {"temperature": self.temperature, "min_score": self.min_score}


def read_config(folder: Path) -> dict[str, Any]:
    """A model folder's ``config.json``. Raises `ExtractorError`."""
    return read_json(folder / "config.json")


def read_calibration(folder: Path) -> Calibration:
    """The calibration in a model folder's ``config.json``; that of a model without one changes nothing.

    Raises:
        ExtractorError: It is there, and not as `training.calibrate` writes it.
    """
    found = read_config(folder).get("calibration", {})
    try:
        calibration = Calibration(**{key: float(value) for key, value in found.items()})
    except (AttributeError, TypeError, ValueError):
        calibration = None
    if calibration and 0.0 < calibration.temperature < math.inf and 0.0 <= calibration.min_score <= 1.0:
        return calibration
    raise ExtractorError(
        f'{folder / "config.json"}: calibration is {found!r}; expected {{"temperature": above 0, "min_score": 0 to 1}}; '
        "python -m training.calibrate writes it"
    )


def find_model(
    model: str | os.PathLike[str] | None = None, revision: str | None = None, files: Sequence[str] = MODEL_FILES
) -> Path:
    """The folder of a model: a folder, a Hub id (fetched into the Hub's cache), or None for the packaged model.

    Args:
        files: What the folder must hold, and all that is fetched besides the card.

    Raises:
        ExtractorError: The folder does not exist or lacks a file; the Hub has no such model or cannot be reached.
    """
    folder = PACKAGED_MODEL if model is None else Path(model)
    place = str(folder)
    if not folder.exists() and _looks_like_hub_id(str(model)):
        folder = _download(str(model), revision, files)
    elif not folder.exists():
        raise ExtractorError(f"{place}: there is no such model folder; give a folder or a Hub id such as user/name")
    if folder.is_file():
        raise ExtractorError(f"{place}: is a file; give the folder that holds {', '.join(files)}")
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        make = "; make it in a checkout: python -m training.export MODEL" if missing[-1].endswith(".onnx") else ""
        raise ExtractorError(f"{place}: lacks {', '.join(missing)}; a model folder holds {', '.join(files)}{make}")
    check_files(folder, files)
    return folder


def _looks_like_hub_id(model: str) -> bool:
    return model.count("/") == 1 and not model.startswith((".", "/", "~")) and not model.endswith("/")


def _download(repo_id: str, revision: str | None, files: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=[*files, "README.md"]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ExtractorError(
            f"{repo_id}: there is no such folder here, and as a Hub id it could not be fetched ({type(error).__name__}: "
            f"{reason}); check the name, the revision and the connection"
        ) from error


class Model(Protocol):
    """What the extractor needs of a model; anything that has it will do (a model in training, a fake in a test)."""

    name: str
    tokenizer: Tokenizer
    max_tokens: int
    calibration: Calibration

    @property
    def device(self) -> str: ...

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        """(tokens of all rows, tags) of one batch of token ids, the rows one behind the other.

        Raises:
            MemoryError: The batch is too large for the device; a smaller one may not be.
        """
        ...


def load_model(
    model: str | os.PathLike[str] | None = None,
    revision: str | None = None,
    *,
    backend: str = "torch",
    device: str = "auto",
    dtype: str = "auto",
) -> Model:
    """A model by folder or Hub id (None: the packaged one), run by torch or by ONNX Runtime. Raises `ExtractorError`.

    The arguments are those of `Extractor.from_pretrained`."""
    name = "renshi-default" if model is None else str(model)
    if revision is not None and (model is None or Path(model).is_dir()):
        raise ExtractorError(
            f"{name}: revision {revision!r} is of a model on the Hub; name one by its id, such as user/name"
        )
    if backend == "onnx":
        from renshi.onnx_model import OnnxTokenClassifier, onnx_files

        files = onnx_files(dtype, PACKAGED_MODEL if model is None else Path(model))
        return OnnxTokenClassifier(find_model(model, revision, files), name, device, dtype)
    if backend != "torch":
        raise ExtractorError(f"backend {backend!r} is unknown; backends are {', '.join(BACKENDS)}")
    folder = find_model(model, revision)
    try:
        import torch  # noqa: F401
    except ImportError as error:  # the small installation, which has ONNX Runtime in their place
        raise ExtractorError(
            f"backend torch: {error.name} is not installed here; choose backend onnx (--backend onnx), or pip install renshi"
        ) from error
    return TokenClassifier(folder, name, device, dtype)


def read_tokenizer(folder: Path) -> tuple[Tokenizer, int]:
    """The tokenizer of a model folder, and the longest row that the model reads, special tokens included.

    Raises:
        ExtractorError: A file is damaged, or the model's labels are not those of renshi.
    """
    config = read_config(folder)
    check_config(config, folder / "config.json")
    _check_labels(config, folder)
    length = row_length(config, read_json(folder / "tokenizer_config.json"), folder)
    try:
        with panics_are_errors():
            tokenizer = _read_tokenizer(folder)
            check_tokenizer(tokenizer, config, folder / "tokenizer.json")
    except TokenizerError as error:
        raise ExtractorError(f"{folder / 'tokenizer.json'}: is not a tokenizer ({error})") from error
    return tokenizer, length


def pad_rows(rows: Sequence[NDArray[np.int64]], pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(rows, longest row) token ids, and which of them are real rather than padding."""
    lengths = np.array([len(row) for row in rows])
    input_ids = np.full((len(rows), lengths.max()), pad_id, dtype=np.int64)
    real = np.arange(input_ids.shape[1]) < lengths[:, None]
    input_ids[real] = np.concatenate(rows)
    return input_ids, real


class TokenClassifier:
    """A BERT-type token classifier with its tokenizer, on one device, in one precision.

    Attributes:
        name: The model's name as records give it.
        tokenizer: The fast tokenizer of the folder.
        max_tokens: The longest row that it reads, special tokens included.
        calibration: What the folder says of its scores.
        device, dtype: Where and in what it runs, as strings (``cuda``, ``bfloat16``); `why_dtype` gives the reason.
        packs_rows: Whether its network computes hardly more than a batch's tokens, rather than pad the rows to the longest.
        folder: Where it was loaded from.
    """

    def __init__(self, folder: Path, name: str, device: str = "auto", dtype: str = "auto") -> None:
        """Load from `folder`. Raises `ExtractorError`."""
        if device not in DEVICES and not device.startswith("cuda:"):
            raise ExtractorError(f"device {device!r} is unknown; devices are {', '.join(DEVICES)}")
        if dtype not in DTYPES:
            raise ExtractorError(f"dtype {dtype!r} is unknown; dtypes are {', '.join(DTYPES)}")
        self.name, self.folder = name, folder
        self.tokenizer, self.max_tokens = read_tokenizer(folder)
        self.calibration = read_calibration(folder)
        config = read_config(folder)
        check_weights(folder, config)
        self._device = _choose_device(device)
        self.dtype, self.why_dtype = _choose_dtype(dtype, self._device)
        self._forward, self.packs_rows = _load(folder, config, self.device, self.dtype)

    @property
    def device(self) -> str:
        return self._device

    def logits(self, rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        """(tokens of all rows, tags) float32 of one batch of token ids, the rows one behind the other.

        Raises:
            MemoryError: The batch is too large for the device.
        """
        return self._forward(rows, pad_id)


_Forward = Callable[[Sequence[NDArray[np.int64]], int], NDArray[np.float32]]


def _load(folder: Path, config: Mapping[str, Any], device: str, dtype: str) -> tuple[_Forward, bool]:
    """The network's forward pass, our own for a BERT on a CPU, that of transformers for everything else; and what
    `TokenClassifier.packs_rows` is."""
    import torch

    try:
        if device == "cpu":
            from renshi.bert import Bert, fits

            if fits(config):
                bert = Bert(_read_weights(folder), config, getattr(torch, dtype))
                return (lambda rows, _: bert(rows)), True
        return _load_padded(folder, device, dtype), False
    except ExtractorError:
        raise
    except Exception as error:  # SafetensorError is no other, and what a config of nonsense raises is anything
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error).strip().split("\n")[0]
        raise ExtractorError(
            f"{folder}: the model cannot be loaded ({type(error).__name__}: {reason}); is model.safetensors complete?"
        ) from error


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    _check_numbers(folder, weights.items())
    # Checkpoints that were converted from TensorFlow name the normalization's weights as that did.
    return {
        name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"): weight
        for name, weight in weights.items()
    }


def _check_numbers(folder: Path, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    import torch

    for name, weight in weights:
        # The sum is not a number where one of them is none, and costs a tenth of asking each.
        if not weight.sum(dtype=torch.float32).isfinite() and not weight.isfinite().all():
            raise ExtractorError(f"{folder}: the weights {name} are not all numbers (NaN or infinite); train it anew")


def _load_padded(folder: Path, device: str, dtype: str) -> _Forward:
    import torch
    from transformers import AutoModelForTokenClassification
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # a bar for eleven megabytes is noise on somebody's standard error
    try:
        model, report = AutoModelForTokenClassification.from_pretrained(
            folder, dtype=getattr(torch, dtype), local_files_only=True, use_safetensors=True, trust_remote_code=False,
            output_loading_info=True,
        )  # fmt: skip
    finally:
        if shown:
            logging.enable_progress_bar()
    if missing := sorted(report["missing_keys"]):  # they would be made of random numbers
        raise ValueError(f"it lacks {len(missing)} of the model's tensors, such as {missing[0]}")
    _check_numbers(folder, model.named_parameters())
    model = model.to(device).eval()

    def forward(rows: Sequence[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
        ids, real = (torch.from_numpy(array) for array in pad_rows(rows, pad_id))
        if device != "cpu":
            ids, real = (tensor.pin_memory().to(device, non_blocking=True) for tensor in (ids, real))
        try:
            with torch.inference_mode():
                padded = model(input_ids=ids, attention_mask=real.long()).logits
                return padded[real].float().cpu().numpy()  # type: ignore[no-any-return]
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error

    return forward


def _read_tokenizer(folder: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises bare Exception
        raise ExtractorError(f"{folder / 'tokenizer.json'}: is not a tokenizer ({error})") from error


def _check_labels(config: dict[str, Any], folder: Path) -> None:
    id2label = config.get("id2label")
    found = [id2label.get(str(index)) for index in range(len(id2label))] if isinstance(id2label, dict) else []
    if found != list(TAGS):
        shown = ", ".join(map(str, found[:5])) + (" …" if len(found) > 5 else "") if found else "none"
        raise ExtractorError(
            f"{folder}: its config.json has other labels ({len(found)}: {shown}) than renshi reads "
            f"({len(TAGS)}: {', '.join(TAGS[:5])} …); train one with python -m training.train"
        )


def _choose_device(device: str) -> str:
    if device == "cpu":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda" if device == "auto" else device
    if device == "auto":
        return "cpu"
    raise ExtractorError(f"device {device!r}: torch sees no CUDA device here; use cpu or auto")


def _choose_dtype(dtype: str, device: str) -> tuple[str, str]:
    """The precision, and why it."""
    if dtype != "auto":
        return dtype, "as asked for"
    if supports_bfloat16(device):
        return "bfloat16", "the hardware multiplies it natively (on a CPU: AVX512-BF16 or AMX)"
    if device.startswith("cuda"):
        return "float16", "this GPU has no bfloat16"
    return "float32", "this processor has no native bfloat16"


def cpu_capabilities() -> Mapping[str, Any]:
    """What the processor can do, by PyTorch's names, such as ``amx_tile``; nothing where it does not say."""
    import torch

    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def supports_bfloat16(device: str) -> bool:
    """Whether the hardware multiplies bfloat16 natively; where it is emulated, float32 is faster."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = cpu_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
