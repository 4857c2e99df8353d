"""In what a training run multiplies its matrices; the weights that it learns are float32 either way."""

from __future__ import annotations

from collections.abc import Iterator

from renshi.model import supports_bfloat16

__all__ = ["DTYPES", "dtype_problems", "uses_bfloat16"]

DTYPES = ("auto", "float32", "bfloat16")


def dtype_problems(dtype: str) -> Iterator[str]:
    """What is wrong with a config's ``dtype``."""
    if dtype not in DTYPES:
        yield f"dtype: {dtype!r} is unknown; dtypes are {', '.join(DTYPES)}"


def uses_bfloat16(dtype: str, device: str) -> bool:
    """Whether a run computes in bfloat16; ``auto``: where the hardware multiplies it."""
    return supports_bfloat16(device) if dtype == "auto" else dtype == "bfloat16"
