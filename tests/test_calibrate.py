"""Calibration: the search, the figures, and what is written where the extractor looks for it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as oracle

from renshi import Extractor, ExtractorError
from renshi.model import Calibration, read_calibration
from training.calibrate import _minimize, log_loss, main, reliability

PAGE = "{省学会|ORG}{会长|TITLE}{王进龙|PER}出席{成立大会|EVENT.FOUNDING}并致辞。\n"


@given(st.floats(-1, 1))
def test_the_search_finds_the_bottom_of_a_valley(bottom: float) -> None:
    assert _minimize(lambda x: (x - bottom) ** 2, -2.0, 2.0, steps=30) == pytest.approx(bottom, abs=1e-3)


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=1))
def test_log_loss_is_scikit_learns(rows: list[tuple[float, bool]]) -> None:
    score, right = (np.array(column) for column in zip(*rows, strict=True))
    assert log_loss(score, right) == pytest.approx(oracle(right, score, labels=[False, True]))


def test_ece_is_nothing_where_scores_are_frequencies() -> None:
    score = np.repeat([0.25, 0.75], 400)
    right = np.tile([True, False, False, False], 100).tolist() + np.tile([True, True, True, False], 100).tolist()
    report = reliability(score, np.array(right))
    assert report["ece"] == 0
    assert report["bins"] == [
        {"score": 0.25, "right": 0.25, "spans": 400}, {"score": 0.75, "right": 0.75, "spans": 400},
    ]  # fmt: skip
    assert reliability(np.full(10, 0.95), np.zeros(10, dtype=bool))["ece"] == pytest.approx(0.95)
    assert reliability(np.zeros(0), np.zeros(0, dtype=bool)) == {"ece": 0.0, "log_loss": 0.0, "spans": 0, "bins": []}


def test_is_fitted_stored_and_used(tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    data = tmp_path / "dev"
    data.mkdir()
    for number in range(3):
        (data / f"{number}.txt").write_text(PAGE, encoding="utf-8")
    assert read_calibration(folder) == Calibration()
    before = next(iter(Extractor.from_pretrained(folder, min_score=0.0).extract(PAGE)))
    assert main([str(folder), str(data), "--json", str(tmp_path / "report.json")]) == 0
    calibration = read_calibration(folder)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["calibration"] == calibration.to_dict()
    micro = {when: report["sets"][f"{tmp_path.name}/dev"][when]["micro"] for when in ("before", "after")}
    assert micro["after"]["log_loss"] < micro["before"]["log_loss"]  # random weights are wrong, and sure of it
    assert calibration.temperature > 1
    after = next(iter(Extractor.from_pretrained(folder, min_score=0.0).extract(PAGE)))
    assert [(e.start, e.end, e.label) for e in after.entities] == [(e.start, e.end, e.label) for e in before.entities]
    assert sum(e.score for e in after.entities) < sum(e.score for e in before.entities)


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": 0}, {"temperature": math.inf}, {"min_score": 2}, {"heat": 1}, [1], {"temperature": "warm"}],
)
def test_a_calibration_that_is_none_is_refused(wrong: object, tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"calibration": wrong}), encoding="utf-8")
    with pytest.raises(ExtractorError, match=r"config.json: calibration is .*training.calibrate writes it"):
        Extractor.from_pretrained(folder)
