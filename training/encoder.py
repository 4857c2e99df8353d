"""Encoders that are not there yet: from random weights, from counts, or grown from a smaller one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers import BertConfig, BertForMaskedLM

from training.config import ConfigError

__all__ = ["RandomEncoder", "extend_positions", "grow", "new_encoder"]


@dataclass(frozen=True, kw_only=True)
class RandomEncoder:
    """The shape of the encoder that ``base_model = "random"`` builds."""

    hidden_size: int = 128
    num_hidden_layers: int = 2
    num_attention_heads: int = 2
    max_position_embeddings: int = 512

    def problems(self) -> Iterator[str]:
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings"):
            if getattr(self, name) < 1:
                yield f"{name}: {getattr(self, name)} is less than 1"
        if self.num_attention_heads > 0 and self.hidden_size % self.num_attention_heads:
            yield f"hidden_size: {self.hidden_size} is no multiple of the {self.num_attention_heads} attention heads"


def new_encoder(shape: RandomEncoder, vocab_size: int) -> BertForMaskedLM:
    """A `BertForMaskedLM` of random weights, without dropout, its feed-forward layers four times as wide as the rest."""
    return BertForMaskedLM(
        BertConfig(
            vocab_size=vocab_size,
            hidden_size=shape.hidden_size,
            num_hidden_layers=shape.num_hidden_layers,
            num_attention_heads=shape.num_attention_heads,
            intermediate_size=4 * shape.hidden_size,
            max_position_embeddings=shape.max_position_embeddings,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            attn_implementation="eager",  # type: ignore[call-arg]
        )
    )


def grow(model: Any, layers: int = 0, intermediate_size: int = 0) -> None:
    """Make a BERT deeper and its feed-forward layers wider, in place; 0 leaves what is there.

    A new layer is a copy of the layer below whose two sublayers add nothing yet (output projections zero), so that the
    network computes nearly what it did: on a 4 × 256 encoder grown to six layers the loss rose by 0.06, and by 1.2 with
    plain copies (StackBERT, Gong et al. 2019). A new feed-forward unit has random weights in and none out, so that the
    network computes just what it did (after Net2Net, Chen et al. 2016, whose units are copies).

    Raises:
        ConfigError: where either is less than what the model has.
    """
    config = model.config
    for name, size, has in (
        ("layers", layers, config.num_hidden_layers),
        ("intermediate_size", intermediate_size, config.intermediate_size),
    ):
        if size and size < has:
            raise ConfigError(f"{name}: {size} is less than the base model's {has}")
    if layers:
        _deepen(model, layers)
    if intermediate_size:
        _widen(model, intermediate_size)


_RIDGE = 10.0
"""Chosen on annotated/real/dev: windows of 512 tokens, read with positions that were trained up to 256, had F1 0.89 with
positions that were reckoned so, 0.88 with a ridge of 6 and 0.87 with 3 or 30, and 0.78 with the positions as they were;
windows of 256 had 0.937."""


def extend_positions(model: Any, trained: int) -> None:
    """Set, in place, the embeddings of the positions from `trained` on as those before them go on: a ridge regression on
    sinusoids (of Vaswani et al. 2017), which go on of themselves.

    Raises:
        ConfigError: `trained` is not below the number of positions that the model has.
    """
    from training.ppmi import sinusoids  # here, since it loads scipy

    table = model.bert.embeddings.position_embeddings.weight
    positions, width = table.shape
    if not 0 < trained < positions:
        raise ConfigError(
            f"trained_positions: {trained} is not between 1 and {positions - 1}; the base model has {positions}"
        )
    waves = torch.from_numpy(sinusoids(positions, width, fastest=1.0))
    known = waves[:trained]
    with torch.no_grad():
        weights = torch.linalg.solve(known.T @ known + _RIDGE * torch.eye(width), known.T @ table[:trained].float())
        table[trained:] = (waves[trained:] @ weights).to(table.dtype)


def _deepen(model: Any, layers: int) -> None:
    old = model.bert.encoder.layer
    origins = [(2 * index + 1) * len(old) // (2 * layers) for index in range(layers)]
    grown: Any = torch.nn.ModuleList(copy.deepcopy(old[index]) for index in origins)
    for index in range(1, layers):
        if origins[index] == origins[index - 1]:
            for sublayer in (grown[index].attention.output, grown[index].output):
                torch.nn.init.zeros_(sublayer.dense.weight)
                torch.nn.init.zeros_(sublayer.dense.bias)
                sublayer.LayerNorm.load_state_dict(grown[index - 1].output.LayerNorm.state_dict())
    model.bert.encoder.layer = grown
    model.config.num_hidden_layers = layers


def _widen(model: Any, size: int) -> None:
    for layer in model.bert.encoder.layer:
        layer.intermediate.dense = _padded(layer.intermediate.dense, out_features=size)
        layer.output.dense = _padded(layer.output.dense, in_features=size)
    model.config.intermediate_size = size


def _padded(old: torch.nn.Linear, *, in_features: int = 0, out_features: int = 0) -> torch.nn.Linear:
    """The layer with more outputs, as random as the old ones, or with more inputs, of weight zero."""
    new = torch.nn.Linear(in_features or old.in_features, out_features or old.out_features)
    torch.nn.init.zeros_(new.bias)
    with torch.no_grad():
        torch.nn.init.normal_(new.weight, std=old.weight.std().item())
        new.weight[: old.out_features, : old.in_features] = old.weight
        new.weight[:, old.in_features :] = 0
        new.bias[: old.out_features] = old.bias
    return new
