"""The average of weights: worked by hand, and what a run makes of it."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.average import AVERAGE_FILE, WeightAverage


def model_of(value: float) -> torch.nn.Module:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, value)
    return model


def value_of(average: WeightAverage, model: torch.nn.Linear) -> float:
    with average.applied():
        return model.weight.item()


def test_forgets_the_start_first_and_then_keeps_its_decay() -> None:
    model = model_of(4.0)
    average = WeightAverage(model, decay=0.25)
    torch.nn.init.constant_(model.weight, 15.0)
    average.update(1)  # (1 + 1) / (10 + 1) is below the decay
    assert value_of(average, model) == pytest.approx(4 * 2 / 11 + 15 * 9 / 11)
    before = value_of(average, model)
    average.update(2)  # 3 / 12 is the decay
    assert value_of(average, model) == pytest.approx(before * 0.25 + 15 * 0.75)
    average.update(1000)
    assert value_of(average, model) == pytest.approx(before * 0.25**2 + 15 * (1 - 0.25**2))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 20))
def test_is_between_what_it_has_seen_and_gives_the_weights_back(seed: int, steps: int) -> None:
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Embedding(5, 3), torch.nn.LayerNorm(3))
    seen, average = [copy.deepcopy(model.state_dict())], WeightAverage(model, 0.99)
    for step in range(1, steps + 1):
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter)
        average.update(step)
        seen.append(copy.deepcopy(model.state_dict()))
    with average.applied():
        for name, tensor in model.state_dict().items():
            values = torch.stack([state[name] for state in seen])
            assert (values.amin(0) - 1e-5 <= tensor).all()
            assert (tensor <= values.amax(0) + 1e-5).all()
    assert all(torch.equal(tensor, seen[-1][name]) for name, tensor in model.state_dict().items())
    average.apply()
    assert not all(torch.equal(tensor, seen[-1][name]) for name, tensor in model.state_dict().items())


def test_an_error_meanwhile_leaves_the_weights(tmp_path: Path) -> None:
    model = model_of(1.0)
    average = WeightAverage(model, 0.9)
    torch.nn.init.constant_(model.weight, 2.0)
    with pytest.raises(RuntimeError), average.applied():
        raise RuntimeError
    assert model.weight.item() == 2.0


def test_goes_on_from_its_file(tmp_path: Path) -> None:
    model = model_of(1.0)
    average = WeightAverage(model, 0.9)
    torch.nn.init.constant_(model.weight, 2.0)
    average.update(5)
    average.save(tmp_path)
    other = WeightAverage(model, 0.9)
    other.load(tmp_path)
    for part in (average, other):
        part.update(6)
    assert value_of(average, model) == value_of(other, model)
    (tmp_path / AVERAGE_FILE).unlink()
    with pytest.raises(OSError, match=AVERAGE_FILE):
        other.load(tmp_path)
