"""A BERT token classifier's forward pass on a CPU, over packed rows: no padding, and nothing loaded that it doesn't need.

The same network as transformers' ``BertForTokenClassification``, which is the oracle of its tests, with the same weights
under the same names. What is different is only what costs time on a processor:

* rows stand behind each other in one matrix (tokens, hidden), so next to no padding is computed; attention alone reads rows
  of like length together (`_Block`);
* query, key and value are one product of (hidden, 3 × hidden);
* weights are laid out once as oneDNN multiplies them, in pieces of a few sizes (`_pieces`), and bias, GELU and what is added
  to a product are done while it is in the cache;
* transformers is not imported, which takes longer than reading a short page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from renshi.model import cpu_capabilities

__all__ = ["Bert", "fits", "places"]

_Linear = Callable[..., Tensor]
"""Of (tokens, into): (tokens, out); to the product a second tensor, (tokens, out), is added."""
_Norm = Callable[[Tensor], Tensor]
_Attention = Callable[[Tensor, Tensor | None], Tensor]
"""Of query, divided by √width, key and value, (3, rows, heads, length, width), and of what is added to the weights, if
anything, (rows, 1, 1, length): what each token's heads see, (rows, heads, length, width)."""


def fits(config: Mapping[str, Any]) -> bool:
    """Whether ``config.json`` describes a network that `Bert` computes; any other is left to transformers."""
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder", False)
        and not config.get("add_cross_attention", False)
    )


def places(lengths: Sequence[int]) -> int:
    """How many tokens `Bert` computes for a batch of rows of these lengths, padding included."""
    return sum(_pieces(sum(lengths)))


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
        self._dtype = dtype
        self._heads, self._eps = config["num_attention_heads"], config.get("layer_norm_eps", 1e-12)
        if self._heads < 1 or hidden % self._heads:
            raise ValueError(f"hidden_size {hidden} is no multiple of num_attention_heads {self._heads}")
        self._see = _attention(dtype)

        def take(name: str, *shape: int) -> Tensor:
            weight = weights[name]
            if tuple(weight.shape) != shape:
                raise RuntimeError(f"{name} has the shape {tuple(weight.shape)}; config.json says {shape}")
            return weight.to(dtype)

        def linear(name: str, into: int, out: int, gelu: bool = False) -> _Linear:
            return _linear(take(f"{name}.weight", out, into), take(f"{name}.bias", out), gelu)

        def beside(name: str, of: str, *into: int) -> Tensor:
            """Of query, key and value, the query divided by √width here, once, and not in each product with it."""
            root = (hidden // self._heads) ** 0.5
            query, key, value = (take(f"{name}.{part}.{of}", hidden, *into) for part in ("query", "key", "value"))
            return torch.cat([(query.float() / root).to(dtype), key, value])

        def norm(name: str) -> _Norm:
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
            self._layers.append(
                (
                    _linear(
                        beside(f"{layer}.attention.self", "weight", hidden), beside(f"{layer}.attention.self", "bias")
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
            ids, position_ids = np.zeros((2, sum(sizes)), dtype=np.int64)
            np.concatenate(rows, out=ids[:tokens])
            np.concatenate([np.arange(length) for length in lengths], out=position_ids[:tokens])
            blocks = list(_blocks(lengths, self._heads, self._dtype))
            # In the order in which transformers adds them, since sums in bfloat16 are rounded.
            x = self._words[torch.from_numpy(ids)] + self._type + self._places[torch.from_numpy(position_ids)]
            pieces = list(self._norm(x).split(sizes))
            for three, dense, first_norm, widen, narrow, second_norm in self._layers:
                seen = self._attend(_join([three(x) for x in pieces]), blocks).split(sizes)
                pieces = [first_norm(dense(heads, x)) for heads, x in zip(seen, pieces, strict=True)]
                pieces = [second_norm(narrow(widen(x), x)) for x in pieces]
            logits = _join([self._classifier(x) for x in pieces])
            return logits[:tokens].float().numpy()

    def _attend(self, three: Tensor, blocks: Sequence[_Block]) -> Tensor:
        """(tokens, hidden) of the values that each token's heads see, from its query, key and value side by side."""
        tokens, width = three.shape
        seen = three.new_empty(tokens, width // 3)
        end = 0
        for block in blocks:
            start, end = end, end + block.tokens
            of_rows = three[start:end] if block.gather is None else three[start:end].index_select(0, block.gather)
            # (3, rows, heads, length, width of a head), all views
            parts = of_rows.view(block.rows, block.length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
            found = self._see(parts, block.mask).transpose(1, 2)
            if block.back is None:
                seen[start:end].view(found.shape).copy_(found)
            else:
                torch.index_select(found.reshape(-1, width // 3), 0, block.back, out=seen[start:end])
        seen[end:] = 0  # no row's, and never read; but what is left in memory may be slow to compute with
        return seen


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows that attention reads together, each filled up to one length.

    Attributes:
        tokens: Of all its rows.
        gather: (rows × length,): which of these tokens stand in the rows when they are filled up. What fills one up is its
            last token again.
        back: (tokens,): where the tokens stand in the rows that are filled up.
        mask: (rows, 1, 1, length): what is added to the weights, −∞ where a row is filled up.
            These three are None where no row is.
    """

    rows: int
    length: int
    tokens: int
    gather: Tensor | None
    back: Tensor | None
    mask: Tensor | None


_TILE = 16
"""Tokens. Rows are filled up to whole ones, which attention and the products in it compute faster than any other number: in
bfloat16, PyTorch's attention takes twice as long for rows of 254 tokens as for rows of 256. And more rows are alike."""

_WEIGHTS = 1 << 22
"""Of attention, in a block, 8 MB in bfloat16: more rows at once are not faster."""


def _blocks(lengths: Sequence[int], heads: int, dtype: torch.dtype) -> Iterator[_Block]:
    """The rows of these lengths in blocks, in their order."""
    first = 0
    for length, run in groupby(-(-length // _TILE) * _TILE for length in lengths):
        left = sum(1 for _ in run)
        while left:
            # Halves of halves: oneDNN keeps a program for each number of rows and each length (see `_pieces`).
            rows = 1 << (min(left, max(1, _WEIGHTS // (heads * length * length))).bit_length() - 1)
            yield _block(np.array(lengths[first : first + rows]), length, dtype)
            first, left = first + rows, left - rows


def _block(filled: NDArray[np.int64], length: int, dtype: torch.dtype) -> _Block:
    rows, tokens = len(filled), int(filled.sum())
    if tokens == rows * length:
        return _Block(rows, length, tokens, None, None, None)
    place, of_row = np.arange(length), filled[:, None]
    real = place < of_row
    gather = (np.cumsum(filled) - filled)[:, None] + np.minimum(place, of_row - 1)
    mask = torch.from_numpy(np.where(real, np.float32(0), np.float32(-np.inf))).to(dtype)[:, None, None]
    return _Block(rows, length, tokens, torch.from_numpy(gather.ravel()), torch.from_numpy(np.flatnonzero(real)), mask)


def _attention(dtype: torch.dtype) -> _Attention:
    """What computes attention fastest here.

    In bfloat16 on a processor that has AVX512-BF16 and no AMX, two products and a softmax take little more than half the
    time of PyTorch's own attention, which multiplies in small tiles there; in float32 they take a third more. With AMX,
    whose tiles PyTorch's own uses, they take 1.1 times its time for rows of 32 tokens and 2.5 times and more for rows of
    256. (For a single row of twenty tokens, calling three operations costs 5 % more; but what a row gives must not depend on
    how many stand beside it, to the last bit.)
    """
    if dtype == torch.bfloat16 and _onednn_multiplies(dtype) and not cpu_capabilities().get("amx_tile"):
        return _attend_by_products
    return _attend_at_once


def _attend_at_once(parts: Tensor, mask: Tensor | None) -> Tensor:
    query, key, value = parts
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)


def _attend_by_products(parts: Tensor, mask: Tensor | None) -> Tensor:
    _, rows, heads, length, _ = parts.shape
    query, key, value = parts.contiguous().flatten(1, 2)
    weights = torch.bmm(query, key.transpose(1, 2)).view(rows, heads, length, length)
    if mask is not None:
        weights.add_(mask)
    return torch.bmm(weights.softmax(-1).flatten(0, 1), value).view(rows, heads, length, -1)


def _join(pieces: list[Tensor]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


_LARGEST_PIECE, _STEP, _SMALLEST_PIECE = 4096, 128, 32
"""Tokens."""
_ALONE = (8, 16, 24, 32, 40, 48, 56, 64, *range(80, 257, 16))
"""The sizes of a batch of a text or two, for whose reader the tokens that stay empty are time to wait."""


def _pieces(tokens: int) -> list[int]:
    """Numbers of tokens in which the products are computed: whole pieces, and what is left as one piece if it is more than
    half of one, or all there is and small; else in halves of a piece, each half as many as the one before or left out.

    oneDNN makes a program for every number of rows that it meets with every weight, half a megabyte in 5 ms, and keeps a
    thousand of them: with numbers as they come, memory grew for hours. These are 23, and those of small batches. Few
    large pieces, since several threads wait for each other at the end of each, and for what several make to be one again.
    """
    whole, rest = divmod(tokens, _LARGEST_PIECE)
    sizes = [_LARGEST_PIECE] * whole
    if rest > _LARGEST_PIECE // 2:
        return [*sizes, -(-rest // _STEP) * _STEP]
    if not whole and rest <= _ALONE[-1]:
        return [next(size for size in _ALONE if size >= rest)]
    rest = -(-rest // _SMALLEST_PIECE) * _SMALLEST_PIECE
    while rest:
        size = 1 << (rest.bit_length() - 1)
        sizes.append(size)
        rest -= size
    return sizes


def _linear(weight: Tensor, bias: Tensor, gelu: bool = False) -> _Linear:
    """x → x·weightᵀ + bias, and GELU of it if wanted; x, y → x·weightᵀ + bias + y."""
    if _onednn_multiplies(weight.dtype):
        # What torch.compile makes of a linear layer whose weight it knows. 1.1 to 1.2 times `functional.linear` in float32
        # (docs/performance.md); the number of rows that the layout is made for is a hint only.
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, 1024)
        multiply, activation = torch.ops.mkldnn._linear_pointwise, "gelu" if gelu else "none"

        def product(x: Tensor, added: Tensor | None = None) -> Tensor:
            if added is not None:
                return multiply.binary(x, added, packed, bias, "add")
            return multiply(x, packed, bias, activation, [], "none")
    else:

        def product(x: Tensor, added: Tensor | None = None) -> Tensor:
            found = functional.linear(x, weight, bias)
            if added is not None:
                return found.add_(added)
            return functional.gelu(found) if gelu else found

    return product


def _onednn_multiplies(dtype: torch.dtype) -> bool:
    operations = torch.ops.mkldnn
    if not (torch.backends.mkldnn.is_available() and hasattr(operations, "_linear_pointwise")):
        return False
    if dtype == torch.float32:
        return hasattr(operations, "_reorder_linear_weight")
    known = hasattr(operations, "_is_mkldnn_bf16_supported") and hasattr(operations, "_reorder_linear_weight")
    return dtype == torch.bfloat16 and known and bool(operations._is_mkldnn_bf16_supported())
