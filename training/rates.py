"""Layer-wise learning rates: the nearer to the text a layer is, the less it is changed (Howard & Ruder 2018,
arXiv:1801.06146, "discriminative fine-tuning"; as one factor a layer: Clark et al. 2020, arXiv:2003.10555).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from torch import nn

__all__ = ["parameter_groups"]

_LAYER = re.compile(r"\.layers?\.(\d+)\.")


def parameter_groups(
    model: nn.Module, learning_rate: float, layer_decay: float, weight_decay: float, decayed: Collection[str]
) -> list[dict[str, Any]]:
    """Groups of the model's parameters for a torch optimizer, those with the full rate first.

    The head has `learning_rate`, each layer of the encoder `layer_decay` times the rate of what is above it, the embeddings
    the lowest. A parameter that is neither in the embeddings nor in a numbered layer belongs to the head.

    Args:
        decayed: The names of the parameters that `weight_decay` is for.
    """
    found = [
        (name, parameter, _LAYER.search(name))
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    layers = 1 + max((int(match[1]) for *_, match in found if match), default=-1)
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter, match in found:
        below = layers - int(match[1]) if match else layers + 1 if "embeddings" in name else 0  # the head
        is_decayed = name in decayed
        group = groups.setdefault(
            (below, not is_decayed),
            {
                "params": [],
                "lr": learning_rate * layer_decay**below,
                "weight_decay": weight_decay if is_decayed else 0.0,
            },
        )
        group["params"].append(parameter)
    return [group for _, group in sorted(groups.items(), key=lambda item: item[0])]
