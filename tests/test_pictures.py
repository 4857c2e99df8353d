"""Pictures of reports: real ones, committed in results/, and what is said where they cannot be drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from training.pictures import chinese_font, draw, main

ROOT = Path(__file__).parents[1]


def texts(figure: Figure) -> str:
    figure.canvas.draw()
    return " ".join(text.get_text() for axes in figure.axes for text in (*axes.get_yticklabels(), axes.title))


def test_draws_the_committed_reports() -> None:
    figures = dict(draw(json.loads((ROOT / "results/default.json").read_text(encoding="utf-8"))))
    assert {"real-dev-f1.png", "real-dev-confusion.png", "original-test-f1.png"} <= figures.keys()
    assert "EVENT.VISIT" in texts(figures["real-dev-f1.png"])
    assert ("调研来访" in texts(figures["real-dev-f1.png"])) == (chinese_font() is not None)
    figures = dict(draw(json.loads((ROOT / "results/calibration.json").read_text(encoding="utf-8"))))
    assert "after calibration: ECE" in texts(figures["real-dev-reliability.png"])
    assert "original-test-thresholds.png" in figures


def test_writes_what_it_can_and_tells_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none.json").write_text('{"sets": {}}', encoding="utf-8")
    (tmp_path / "other.json").write_text('{"sets": {"x": {}}}', encoding="utf-8")
    report = json.loads((ROOT / "results/calibration.json").read_text(encoding="utf-8"))
    report["sets"] = dict(list(report["sets"].items())[:1])
    (tmp_path / "one.json").write_text(json.dumps(report), encoding="utf-8")
    names = [str(tmp_path / name) for name in ("none.json", "other.json", "missing.json", "one.json")]
    assert main([*names, "--output", str(tmp_path / "out")]) == 2
    errors = capsys.readouterr().err
    assert "none.json: holds no sets" in errors
    assert "other.json: x: is neither a report" in errors
    assert "missing.json" in errors
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
