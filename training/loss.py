"""The partial-label loss: −log of the probability that a token's tag is one of those its annotation allows.

Where one tag is allowed this is the ordinary cross-entropy; where all are, it is zero. One loss for all sources
(the marginal likelihood of Tsuboi et al. 2008 for a model without transitions).
"""

from __future__ import annotations

import torch

__all__ = ["divergence", "partial_label_loss"]


def partial_label_loss(
    logits: torch.Tensor, allowed: torch.Tensor, count: torch.Tensor | None = None, focal: float = 0.0
) -> torch.Tensor:
    """Mean over the tokens that allow anything at all.

    Args:
        logits: (rows, tokens, tags).
        allowed: (rows, tokens) int64 bit masks over the tags; 0 for tokens that do not count.
        count: What the sum is divided by instead of the number of tokens that count here: where these rows are a part
            of a batch.
        focal: The gamma of the focal loss (Lin et al. 2017, arXiv:1708.02002), with p the probability of what is allowed:
            a token counts (1 − p) ** gamma, so that what the model is sure of already hardly does.
    """
    logits = logits.float()
    bits = torch.arange(logits.shape[-1], device=logits.device)
    is_allowed = (allowed[..., None] >> bits) & 1 == 1
    # A finite floor instead of −inf: the gradient of logsumexp over nothing but −inf is NaN, and padding has nothing.
    some = torch.where(is_allowed, logits, logits.new_tensor(-1e4)).logsumexp(dim=-1)
    loss = logits.logsumexp(dim=-1) - some
    if focal:
        # The floor: below 1, a gamma gives 1 − p = 0 an infinite gradient, and rounding gives less than 0.
        loss = loss * (-torch.expm1(-loss)).clamp(min=1e-6) ** focal
    return _mean(loss, allowed, count)


def divergence(
    first: torch.Tensor, second: torch.Tensor, allowed: torch.Tensor, count: torch.Tensor | None = None
) -> torch.Tensor:
    """Half the sum of the Kullback–Leibler divergences in both directions of the tags' distributions, of two passes with
    different dropout (R-Drop: Liang et al. 2021, arXiv:2106.14448). Arguments and mean as in `partial_label_loss`."""
    p, q = (logits.float().log_softmax(dim=-1) for logits in (first, second))
    return _mean(((p.exp() - q.exp()) * (p - q)).sum(dim=-1) / 2, allowed, count)


def _mean(values: torch.Tensor, allowed: torch.Tensor, count: torch.Tensor | None) -> torch.Tensor:
    counts = allowed != 0
    return (values * counts).sum() / (counts.sum() if count is None else count).clamp(min=1)
