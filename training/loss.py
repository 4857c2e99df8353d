"""The partial-label loss: −log of the probability that a token's tag is one of those its annotation allows.

Where one tag is allowed this is the ordinary cross-entropy; where all are, it is zero. One loss for all sources
(the marginal likelihood of Tsuboi et al. 2008 for a model without transitions).
"""

from __future__ import annotations

import torch

__all__ = ["partial_label_loss"]


def partial_label_loss(logits: torch.Tensor, allowed: torch.Tensor, count: torch.Tensor | None = None) -> torch.Tensor:
    """Mean over the tokens that allow anything at all.

    Args:
        logits: (rows, tokens, tags).
        allowed: (rows, tokens) int64 bit masks over the tags; 0 for tokens that do not count.
        count: What the sum is divided by instead of the number of tokens that count here: where these rows are a part
            of a batch.
    """
    logits = logits.float()
    bits = torch.arange(logits.shape[-1], device=logits.device)
    is_allowed = (allowed[..., None] >> bits) & 1 == 1
    counts = allowed != 0
    # A finite floor instead of −inf: the gradient of logsumexp over nothing but −inf is NaN, and padding has nothing.
    some = torch.where(is_allowed, logits, logits.new_tensor(-1e4)).logsumexp(dim=-1)
    loss = logits.logsumexp(dim=-1) - some
    return (loss * counts).sum() / (counts.sum() if count is None else count).clamp(min=1)
