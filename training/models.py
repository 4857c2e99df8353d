"""Models as the commands of `training` name them."""

from __future__ import annotations

from pathlib import Path

from renshi.model import find_model

__all__ = ["PACKAGED", "find", "title"]

PACKAGED = "default"
"""What the model inside the package is called on a command line."""


def find(name: str) -> Path:
    """The folder of a model: `PACKAGED`, a folder, or a Hub id. Raises `renshi.ExtractorError`."""
    return find_model(None if name == PACKAGED else name)


def title(name: str) -> str:
    """What reports call it: no path of the machine."""
    return "renshi-default" if name == PACKAGED else Path(name).name
