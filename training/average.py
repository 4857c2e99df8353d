"""An average of a model's weights over the steps of a run: what is scored and kept, while the steps go on from the last.

An exponential moving average (Polyak & Juditsky 1992 of the idea; with this decay Tarvainen & Valpola 2017,
arXiv:1703.01780), whose decay rises with the steps, so that the weights a run began with are soon forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

__all__ = ["AVERAGE_FILE", "WeightAverage"]

AVERAGE_FILE = "average.safetensors"
"""Beside the last weights in a checkpoint."""


class WeightAverage:
    """The average of the parameters of `model`, on its device and in its dtype, which begins with what they are."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._parameters = dict(model.named_parameters())
        self._average = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after the `step`-th step, from 1 on.

        The average keeps min(decay, (1 + step) / (10 + step)) of what it was: the last tenth of the steps, more or less,
        until that is the horizon 1 / (1 − decay), as in TensorFlow's ExponentialMovingAverage.
        """
        share = 1 - min(self._decay, (1 + step) / (10 + step))
        for name, average in self._average.items():
            average.lerp_(self._parameters[name], share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights meanwhile; afterwards its own, bit for bit."""
        own = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self.apply()
        try:
            yield
        finally:
            self._assign(self._parameters, own)

    def apply(self) -> None:
        """Give the averaged weights to the model for good."""
        self._assign(self._parameters, self._average)

    def save(self, folder: Path) -> None:
        save_file(self._average, folder / AVERAGE_FILE)

    def load(self, folder: Path) -> None:
        """Raises `OSError` where there is none."""
        self._assign(self._average, load_file(folder / AVERAGE_FILE))

    @staticmethod
    @torch.no_grad()
    def _assign(targets: dict[str, nn.Parameter] | dict[str, torch.Tensor], values: dict[str, torch.Tensor]) -> None:
        for name, target in targets.items():
            target.copy_(values[name])
