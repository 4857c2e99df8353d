"""The mean of models: its numbers, and what is no model of the same kind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from renshi import Extractor
from training.soup import main


@pytest.fixture
def models(tiny_model: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two models of one kind, the second's weights those of the first plus 1."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        shutil.copytree(tiny_model, folder)
    weights = {name: weight + 1 for name, weight in load_file(first / "model.safetensors").items()}
    save_file(weights, second / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((first / "config.json").read_text())
    (first / "config.json").write_text(json.dumps(config | {"calibration": {"temperature": 2.0, "min_score": 0.5}}))
    return first, second


def test_is_the_mean_without_a_calibration(models: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "soup"
    assert main([str(output), *map(str, models)]) == 0
    mean, first = (load_file(folder / "model.safetensors") for folder in (output, models[0]))
    for name, weight in first.items():
        torch.testing.assert_close(mean[name].float(), weight.float() + 0.5, atol=0.01, rtol=0.01)
        assert mean[name].dtype == weight.dtype
    assert Extractor.from_pretrained(output).model.calibration.temperature == 1.0


def test_says_what_cannot_be_mixed(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = models
    output = tmp_path / "soup"

    def refused(*arguments: Path) -> str:
        assert main([str(output), *map(str, arguments)]) == 2
        assert not output.exists()
        return capsys.readouterr().err

    assert "two or more" in refused(first)
    assert "no such model folder" in refused(first, tmp_path / "none")
    weights = load_file(second / "model.safetensors")
    weights["classifier.bias"] = weights["classifier.bias"][:-1].clone()
    save_file(weights, second / "model.safetensors", metadata={"format": "pt"})
    assert "classifier.bias has the shape" in refused(first, second)
    (second / "tokenizer.json").write_text("{}")
    assert "tokenizer.json is not that of" in refused(first, second)
    assert main([str(first), str(first), str(first)]) == 2
    assert "exists already" in capsys.readouterr().err
