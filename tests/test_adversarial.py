"""FGM on a real model: to where the loss is higher, and back to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForTokenClassification

from training.adversarial import perturbed
from training.loss import partial_label_loss


def test_the_loss_is_higher_there_and_the_embeddings_come_back(tiny_model: Path) -> None:
    model = AutoModelForTokenClassification.from_pretrained(tiny_model).eval()
    ids = torch.arange(5, 45).reshape(2, 20)
    allowed = torch.ones_like(ids) << (ids % 7)
    embeddings = model.get_input_embeddings().weight
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    clean = partial_label_loss(model(ids).logits, allowed)
    clean.backward()
    gradient = embeddings.grad.clone()
    with perturbed(embeddings, 0.5):
        moved = embeddings.detach() - before["bert.embeddings.word_embeddings.weight"]
        torch.testing.assert_close(moved, 0.5 * gradient / gradient.norm(), atol=1e-6, rtol=0)
        adversarial = partial_label_loss(model(ids).logits, allowed)
        adversarial.backward()
    assert adversarial > clean
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not torch.equal(embeddings.grad, gradient)  # both passes' together


def test_an_error_meanwhile_leaves_the_embeddings() -> None:
    embeddings = torch.nn.Parameter(torch.randn(4, 3))
    embeddings.grad = torch.randn(4, 3)
    before = embeddings.detach().clone()
    with pytest.raises(RuntimeError), perturbed(embeddings, 1.0):
        raise RuntimeError
    assert torch.equal(embeddings, before)


@pytest.mark.parametrize("value", [0.0, float("inf"), float("nan")])
def test_a_gradient_without_a_direction_moves_nothing(value: float) -> None:
    embeddings = torch.nn.Parameter(torch.randn(4, 3))
    before = embeddings.detach().clone()
    embeddings.grad = torch.full((4, 3), value)
    with perturbed(embeddings, 1.0):
        assert torch.equal(embeddings, before)


def test_without_a_gradient_it_says_what_is_missing() -> None:
    with (
        pytest.raises(ValueError, match="run a backward pass first"),
        perturbed(torch.nn.Parameter(torch.ones(1)), 1.0),
    ):
        pass
