import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.loss import partial_label_loss


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


def test_nothing_that_counts_is_zero_with_a_finite_gradient() -> None:
    logits = torch.randn(1, 2, 4, requires_grad=True)
    loss = partial_label_loss(logits, torch.zeros(1, 2, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
