"""A BERT token classifier's forward pass on a CPU, over packed rows: no padding, and nothing loaded that it doesn't need.

The same network as transformers' ``BertForTokenClassification``, which is the oracle of its tests, with the same weights
under the same names. What is different is only what costs time on a processor:

* rows stand behind each other in one matrix (tokens, hidden), so padding is computed nowhere; attention alone goes row by
  row, rows of one length together;
* query, key and value are one product of (hidden, 3 × hidden);
* weights are laid out once as oneDNN multiplies them, in pieces of a few sizes (`_pieces`), and bias and GELU are done while
  the product is in the cache;
* transformers is not imported, which takes longer than reading a short page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = ["Bert", "fits"]

_Linear = Callable[[Tensor], Tensor]


def fits(config: Mapping[str, Any]) -> bool:
    """Whether ``config.json`` describes a network that `Bert` computes; any other is left to transformers."""
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder", False)
        and not config.get("add_cross_attention", False)
    )


class Bert:
    """Logits of packed rows.

    Args:
        weights: The tensors of ``model.safetensors`` by name.
        config: ``config.json``, which `fits`.
        dtype: In what it computes. The logits come in float32.

    Raises:
        KeyError: A weight is missing.
        ValueError: The heads do not divide the hidden size.
        RuntimeError: A weight has another shape than the config says.
    """

    def __init__(self, weights: Mapping[str, Tensor], config: Mapping[str, Any], dtype: torch.dtype) -> None:
        hidden, inner, vocabulary = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
        positions, tags = config["max_position_embeddings"], len(config["id2label"])
        self._heads, self._eps = config["num_attention_heads"], config.get("layer_norm_eps", 1e-12)
        if self._heads < 1 or hidden % self._heads:
            raise ValueError(f"hidden_size {hidden} is no multiple of num_attention_heads {self._heads}")

        def take(name: str, *shape: int) -> Tensor:
            weight = weights[name]
            if tuple(weight.shape) != shape:
                raise RuntimeError(f"{name} has the shape {tuple(weight.shape)}; config.json says {shape}")
            return weight.to(dtype)

        def linear(name: str, into: int, out: int, gelu: bool = False) -> _Linear:
            return _linear(take(f"{name}.weight", out, into), take(f"{name}.bias", out), gelu)

        def norm(name: str) -> _Linear:
            weight, bias = take(f"{name}.weight", hidden), take(f"{name}.bias", hidden)
            return lambda x: functional.layer_norm(x, (hidden,), weight, bias, self._eps)

        self._words = take("bert.embeddings.word_embeddings.weight", vocabulary, hidden)
        types = take("bert.embeddings.token_type_embeddings.weight", config.get("type_vocab_size", 2), hidden)
        self._places = take("bert.embeddings.position_embeddings.weight", positions, hidden)
        self._type = types[0]
        self._norm = norm("bert.embeddings.LayerNorm")
        self._layers = []
        for number in range(config["num_hidden_layers"]):
            layer = f"bert.encoder.layer.{number}"
            three = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
            self._layers.append(
                (
                    _linear(
                        torch.cat([take(f"{part}.weight", hidden, hidden) for part in three]),
                        torch.cat([take(f"{part}.bias", hidden) for part in three]),
                    ),
                    linear(f"{layer}.attention.output.dense", hidden, hidden),
                    norm(f"{layer}.attention.output.LayerNorm"),
                    linear(f"{layer}.intermediate.dense", hidden, inner, gelu=True),
                    linear(f"{layer}.output.dense", inner, hidden),
                    norm(f"{layer}.output.LayerNorm"),
                )
            )
        self._classifier = linear("classifier", hidden, tags)

    def __call__(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """(tokens of all rows, tags): the rows' logits, one behind the other."""
        with torch.inference_mode():
            lengths = [len(row) for row in rows]
            tokens = sum(lengths)
            sizes = _pieces(tokens)
            ids, places = np.zeros((2, sum(sizes)), dtype=np.int64)
            np.concatenate(rows, out=ids[:tokens])
            np.concatenate([np.arange(length) for length in lengths], out=places[:tokens])
            # In the order in which transformers adds them, since sums in bfloat16 are rounded.
            x = self._words[torch.from_numpy(ids)] + self._type + self._places[torch.from_numpy(places)]
            pieces = list(self._norm(x).split(sizes))
            for three, dense, first_norm, widen, narrow, second_norm in self._layers:
                seen = self._attend(torch.cat([three(x) for x in pieces]), lengths).split(sizes)
                pieces = [first_norm(dense(heads).add_(x)) for heads, x in zip(seen, pieces, strict=True)]
                pieces = [second_norm(narrow(widen(x)).add_(x)) for x in pieces]
            return torch.cat([self._classifier(x) for x in pieces])[:tokens].float().numpy()

    def _attend(self, three: Tensor, lengths: Sequence[int]) -> Tensor:
        """(tokens, hidden) of the values that each token's heads see, from its query, key and value side by side."""
        tokens, width = three.shape
        seen = three.new_zeros(tokens, width // 3)
        for start, rows, length in _alike(lengths):
            end = start + rows * length
            # (3, rows, heads, length, width of a head), all views
            query, key, value = three[start:end].view(rows, length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
            found = functional.scaled_dot_product_attention(query, key, value)
            seen[start:end].view(rows, length, self._heads, -1).copy_(found.transpose(1, 2))
        return seen


_LARGEST_PIECE, _SMALLEST_PIECE = 1024, 32
"""Tokens. With 1024 the products are as fast as with 4096."""
_ALONE = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256)
"""The sizes of a batch of a text or two, for whose reader the tokens that stay empty are time to wait."""


def _pieces(tokens: int) -> list[int]:
    """Numbers of tokens in which the products are computed: of the largest as many as fit, then each half as many as the one
    before or left out, 31 more than `tokens` in all at most; a small batch is one piece. oneDNN makes a program for every
    number of rows that it meets with every weight, half a megabyte in 5 ms, and keeps a thousand of them: with numbers as
    they come, memory grew for hours. These are six, and those of small batches."""
    if tokens <= _ALONE[-1]:
        return [next(size for size in _ALONE if size >= tokens)]
    whole, rest = divmod(tokens, _LARGEST_PIECE)
    sizes = [_LARGEST_PIECE] * whole
    rest = -(-rest // _SMALLEST_PIECE) * _SMALLEST_PIECE
    while rest:
        size = 1 << (rest.bit_length() - 1)
        sizes.append(size)
        rest -= size
    return sizes


def _alike(lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(first token, rows, length) of each run of rows of one length."""
    start = 0
    for length, run in groupby(lengths):
        rows = sum(1 for _ in run)
        yield start, rows, length
        start += rows * length


def _linear(weight: Tensor, bias: Tensor, gelu: bool = False) -> _Linear:
    """x → x·weightᵀ + bias, and GELU of it if wanted."""
    if _onednn_multiplies(weight.dtype):
        # What torch.compile makes of a linear layer whose weight it knows. 1.1 to 1.2 times `functional.linear` in float32
        # (docs/performance.md); the number of rows that the layout is made for is a hint only.
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, 1024)
        activation = "gelu" if gelu else "none"
        return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, activation, [], "none")
    if gelu:
        return lambda x: functional.gelu(functional.linear(x, weight, bias))
    return lambda x: functional.linear(x, weight, bias)


def _onednn_multiplies(dtype: torch.dtype) -> bool:
    operations = torch.ops.mkldnn
    if not (torch.backends.mkldnn.is_available() and hasattr(operations, "_linear_pointwise")):
        return False
    if dtype == torch.float32:
        return hasattr(operations, "_reorder_linear_weight")
    known = hasattr(operations, "_is_mkldnn_bf16_supported") and hasattr(operations, "_reorder_linear_weight")
    return dtype == torch.bfloat16 and known and bool(operations._is_mkldnn_bf16_supported())
