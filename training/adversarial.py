"""FGM, adversarial training on the embeddings (Miyato et al. 2017, arXiv:1605.07725).

As it is done with BERT: what is moved is the table of word embeddings, by the gradient of the whole batch, rather than the
embedded tokens of each text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["perturbed"]


@contextmanager
def perturbed(embeddings: nn.Parameter, epsilon: float) -> Iterator[None]:
    """The embeddings meanwhile moved by `epsilon` along their gradient, to where the loss is higher; afterwards as they
    were, bit for bit. The gradient has to be there; where it is zero or not finite, nothing is moved."""
    gradient = embeddings.grad
    if gradient is None:
        raise ValueError("the embeddings have no gradient; run a backward pass first")
    own = embeddings.detach().clone()
    norm = gradient.norm()
    if torch.isfinite(norm) and norm > 0:
        with torch.no_grad():
            embeddings.add_(gradient * (epsilon / norm))
    try:
        yield
    finally:
        with torch.no_grad():
            embeddings.copy_(own)  # to subtract the same again would leave rounding behind
