"""Layer-wise learning rates on a real model, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForTokenClassification

from training.rates import parameter_groups


def test_each_layer_has_a_part_of_the_rate_above(tiny_model: Path) -> None:
    model = AutoModelForTokenClassification.from_pretrained(tiny_model)
    names = {parameter: name for name, parameter in model.named_parameters()}
    decayed = {name for name in names.values() if "bias" not in name and "LayerNorm" not in name}
    groups = parameter_groups(model, 0.8, 0.5, 0.01, decayed)
    torch.optim.AdamW(groups)  # refuses a parameter that is in two groups
    assert groups[0]["lr"] == 0.8  # the Trainer logs the first group's
    found = {names[p]: (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert set(found) == set(names.values())
    assert {name: found[name] for name in list(found) if "query" in name or not name.startswith("bert.encoder")} == {
        "classifier.weight": (0.8, 0.01),
        "classifier.bias": (0.8, 0.0),
        "bert.encoder.layer.1.attention.self.query.weight": (0.4, 0.01),
        "bert.encoder.layer.1.attention.self.query.bias": (0.4, 0.0),
        "bert.encoder.layer.0.attention.self.query.weight": (0.2, 0.01),
        "bert.encoder.layer.0.attention.self.query.bias": (0.2, 0.0),
        "bert.embeddings.word_embeddings.weight": (0.1, 0.01),
        "bert.embeddings.position_embeddings.weight": (0.1, 0.01),
        "bert.embeddings.token_type_embeddings.weight": (0.1, 0.01),
        "bert.embeddings.LayerNorm.weight": (0.1, 0.0),
        "bert.embeddings.LayerNorm.bias": (0.1, 0.0),
    }


def test_a_model_without_numbered_layers_has_two_rates() -> None:
    model = torch.nn.ModuleDict({"embeddings": torch.nn.Embedding(3, 2), "head": torch.nn.Linear(2, 1)})
    assert [group["lr"] for group in parameter_groups(model, 1.0, 0.5, 0.0, [])] == pytest.approx([1.0, 0.5])
