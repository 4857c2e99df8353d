import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.loss import divergence, partial_label_loss


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_with_one_tag_allowed_it_is_the_cross_entropy(seed: int) -> None:
    torch.manual_seed(seed)
    logits, labels = torch.randn(2, 5, 7) * 5, torch.randint(0, 7, (2, 5))
    expected = torch.nn.functional.cross_entropy(logits.reshape(-1, 7), labels.reshape(-1))
    torch.testing.assert_close(partial_label_loss(logits, 1 << labels), expected)


def test_is_the_negative_log_of_the_summed_probability() -> None:
    logits = torch.tensor([[[1.0, 2.0, 3.0]]])
    expected = -torch.log(torch.softmax(logits, -1)[0, 0, [0, 2]].sum())
    torch.testing.assert_close(partial_label_loss(logits, torch.tensor([[0b101]])), expected)


def test_all_tags_allowed_cost_nothing_and_zero_masks_do_not_count() -> None:
    logits = torch.randn(1, 3, 4, requires_grad=True)
    loss = partial_label_loss(logits, torch.tensor([[0b1111, 0, 0b0001]]))
    torch.testing.assert_close(loss, -torch.log_softmax(logits[0, 2], -1)[0] / 2)
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad[0, 1].any()


@pytest.mark.parametrize("focal", [0.0, 0.5, 2.0])
def test_nothing_that_counts_is_zero_with_a_finite_gradient(focal: float) -> None:
    logits = torch.randn(1, 2, 4, requires_grad=True)
    loss = partial_label_loss(logits, torch.zeros(1, 2, dtype=torch.long), focal=focal)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
def test_focal_weighs_each_token_by_what_is_missing(seed: int, gamma: float) -> None:
    torch.manual_seed(seed)
    logits, allowed = torch.randn(2, 5, 7) * 3, torch.randint(0, 2**7, (2, 5))
    counting = [
        (row, mask) for row, mask in zip(logits.reshape(-1, 7), allowed.reshape(-1).tolist(), strict=True) if mask
    ]
    p = torch.stack([row.softmax(-1)[[tag for tag in range(7) if mask >> tag & 1]].sum() for row, mask in counting])
    expected = ((1 - p).clamp(min=1e-6) ** gamma * -p.log()).mean()
    torch.testing.assert_close(partial_label_loss(logits, allowed, focal=gamma), expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_has_a_finite_gradient_where_the_model_is_certain(gamma: float) -> None:
    logits = torch.tensor([[[200.0, 0.0], [0.0, 200.0], [1.0, 2.0]]], requires_grad=True)
    partial_label_loss(logits, torch.tensor([[0b01, 0b01, 0b11]]), focal=gamma).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad[0, 0].any()
    assert logits.grad[0, 1].any()  # certain, and wrong


def test_divergence_is_the_mean_of_both_directions_over_the_tokens_that_count() -> None:
    first, second = torch.randn(2, 1, 3, 4) * 2
    p, q = (torch.distributions.Categorical(logits=logits) for logits in (first, second))
    both = (torch.distributions.kl_divergence(p, q) + torch.distributions.kl_divergence(q, p)) / 2
    allowed = torch.tensor([[0b1111, 0b0001, 0]])
    torch.testing.assert_close(divergence(first, second, allowed), both[0, :2].mean())
    torch.testing.assert_close(divergence(first, second, allowed, torch.tensor(4.0)), both[0, :2].sum() / 4)
    assert divergence(first, first, allowed) == 0
