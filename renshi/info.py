"""What is installed here, which model would run, where, in which precision, and why."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from renshi import __version__
from renshi.labels import LABEL_NAMES

if TYPE_CHECKING:
    from renshi.extractor import Extractor

__all__ = ["describe", "versions"]

_LIBRARIES = ("torch", "transformers", "tokenizers", "onnxruntime", "numpy", "opencc", "huggingface-hub")


def versions() -> dict[str, str]:
    """renshi, Python and the libraries that are installed, by name; nothing of them is imported."""
    found = {"renshi": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def describe(extractor: Extractor) -> list[tuple[str, str]]:
    """Rows of (what, how it stands) for an extractor that was loaded from a folder or the Hub."""
    from renshi.model import read_config  # NumPy: not needed to tell versions

    model = extractor.model
    config = read_config(model.folder) if hasattr(model, "folder") else {}
    calibration = model.calibration
    shape = f"{config.get('num_hidden_layers', '?')} layers × {config.get('hidden_size', '?')}"
    return [
        ("model", f"{model.name} ({getattr(model, 'folder', 'in memory')})"),
        (
            "network",
            f"{', '.join(config.get('architectures', ['?']))}, {shape}, {config.get('vocab_size', '?')} tokens",
        ),
        ("labels", " ".join(f"{label} {name}" for label, name in LABEL_NAMES.items())),
        ("windows", f"at most {model.max_tokens} tokens"),
        (
            "scores",
            f"temperature {calibration.temperature:g}; under {calibration.min_score:g} only what a role rests on",
        ),
        ("device", f"{model.device}: {_why_device(model.device)}"),
        ("precision", f"{getattr(model, 'dtype', '?')}: {getattr(model, 'why_dtype', '?')}"),
        ("threads", _threads(model.device)),
        ("batch", f"{extractor.batch_tokens:,} tokens"),
        ("versions", ", ".join(f"{name} {number}" for name, number in versions().items())),
    ]


def _why_device(device: str) -> str:
    if device != "cpu":
        return "a CUDA device is there, or was asked for"
    return "torch sees no CUDA device, or the CPU was asked for"


def _threads(device: str) -> str:
    if device != "cpu":
        return "those of the device"
    try:
        import torch

        count = torch.get_num_threads()
    except ImportError:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{count} (OMP_NUM_THREADS sets it)"
