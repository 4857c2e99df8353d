"""The ablation runner: one tiny variant for real, and its comparison worked by hand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from training.ablations import AblationConfig, compare, main, variant_configs
from training.config import load_config
from training.metrics import paired_bootstrap
from training.train import TrainConfig

ROOT = Path(__file__).parents[1]
PAGE = "{省学会|ORG}{会长|TITLE}{王进龙|PER}出席{成立大会|EVENT.FOUNDING}。\n"


def write(tmp_path: Path, variants: str) -> Path:
    (tmp_path / "page.txt").write_text(PAGE, encoding="utf-8")
    source = 'format = "markup"\npath = "{data_root}/page.txt"\n'
    base = tmp_path / "base.toml"
    base.write_text(
        f'base_model = "random"\noutput = "x"\ndata_root = "{tmp_path.as_posix()}"\nsteps = 50\nevaluations = 1\n'
        "max_length = 32\nbatch_tokens = 64\n"
        "random_encoder = {hidden_size = 16, num_hidden_layers = 1, num_attention_heads = 1}\n"
        f"[[train]]\n{source}[[dev]]\n{source}",
        encoding="utf-8",
    )
    path = tmp_path / "ablations.toml"
    path.write_text(
        f'base = "{base.as_posix()}"\noutput = "{tmp_path.as_posix()}/runs"\nseeds = [3]\n'
        f'results = "{tmp_path.as_posix()}/out/ablations.json"\n[[score_on]]\n{source}[common]\nsteps = 4\n{variants}',
        encoding="utf-8",
    )
    return path


def test_runs_variants_and_repeats_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "[variants.fast]\nlearning_rate = 1e-2\n")
    assert main([str(path)]) == 0
    assert len(capsys.readouterr().out.strip().split("\n")) >= 2
    report = json.loads((tmp_path / "out/ablations.json").read_text())
    assert (report["documents"], report["common"], list(report["variants"])) == (1, {"steps": 4}, ["base", "fast"])
    assert report["variants"]["fast"]["overrides"] == {"learning_rate": 1e-2}
    assert set(report["variants"]["fast"]) - set(report["variants"]["base"]) == {"difference", "p"}
    run = load_config(TrainConfig, tmp_path / "runs/fast/seed-3/config.toml")
    assert (run.seed, run.steps, run.learning_rate) == (3, 4, 1e-2)

    kept = tmp_path / "runs/base/seed-3/result.json"
    before = kept.stat().st_mtime_ns
    assert main([str(path)]) == 0
    assert kept.stat().st_mtime_ns == before
    assert main([str(path), "common={steps = 5}"]) == 2
    assert "base/seed-3: was begun with other values (steps 4, now 5); remove it" in capsys.readouterr().err


def test_a_run_that_another_process_is_at_is_left_to_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "[variants.fast]\nlearning_rate = 1e-2\n")
    code = (
        "import sys; from types import SimpleNamespace; from training.runs import claimed\n"
        "with claimed(SimpleNamespace(output=sys.argv[1])) as is_ours: print(is_ours, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "runs/base/seed-3")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert main([str(path)]) == 1
        captured = capsys.readouterr()
        assert captured.out.strip().split("\n")[-1].startswith("fast, seed 3: micro F1 ")
        assert "base, seed 3: another process is at it\n" in captured.err
        assert captured.err.endswith("1 of 2 runs are not finished; other processes are at them\n")
        assert list(json.loads((tmp_path / "out/ablations.json").read_text())["variants"]) == ["fast"]
        other.kill()  # and the lock goes with it
    assert main([str(path)]) == 0
    report = json.loads((tmp_path / "out/ablations.json").read_text())
    assert list(report["variants"]) == ["base", "fast"]
    assert "difference" in report["variants"]["fast"]


@pytest.mark.slow
def test_two_processes_share_the_runs_out(tmp_path: Path) -> None:
    path = write(tmp_path, "".join(f"[variants.v{number}]\nlearning_rate = 1e-{number}\n" for number in range(2, 6)))
    command = [sys.executable, "-m", "training.ablations", str(path), "common={steps = 40}"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    trained = [re.findall(r"runs/(\w+)/seed-3/model: dev micro F1", process.communicate()[0]) for process in both]
    assert sorted(process.returncode for process in both) in ([0, 0], [0, 1])
    assert sorted(trained[0] + trained[1]) == ["base", "v2", "v3", "v4", "v5"]
    report = json.loads((tmp_path / "out/ablations.json").read_text())
    assert list(report["variants"]) == ["base", "v2", "v3", "v4", "v5"]
    assert all("difference" in entry for name, entry in report["variants"].items() if name != "base")


def test_variants_that_cannot_work_are_refused_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "[variants.a]\ndropuot = 0.0\n[variants.b]\ndropout = 1.0\n")
    assert main([str(path)]) == 2
    error = capsys.readouterr().err
    assert "variant a: " in error
    assert "dropuot: unknown key" in error
    assert "variant b: " in error
    assert "dropout: 1.0 is not between 0 and 1" in error
    with pytest.raises(SystemExit):
        main([str(write(tmp_path, '[variants.base]\n[variants."a/b"]\nseed = 1\n'))])
    error = capsys.readouterr().err
    assert "variants.base: is no name for a folder beside base" in error
    assert "variants.a/b: is no name for a folder" in error
    assert "variants.a/b.seed: is set for each run; leave it out" in error


@pytest.mark.parametrize(("name", "steps"), [("ablations", 500), ("studies/continued", 150)])
def test_the_committed_variants_load(name: str, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = load_config(AblationConfig, Path(f"configs/{name}.toml"))
    variants = variant_configs(config)
    assert list(variants) == ["base", *config.variants]
    assert all(variant != variants["base"] for name, variant in variants.items() if name != "base")
    assert {variant.steps for variant in variants.values()} == {steps}


def result(*counts: tuple[int, int, int]) -> dict[str, Any]:
    right, predicted, gold = map(sum, zip(*counts, strict=True))
    return {"micro_f1": 2 * right / (predicted + gold), "counts": [list(row) for row in counts]}


def test_a_comparison_uses_the_seeds_that_both_have() -> None:
    config = load_config(AblationConfig, ROOT / "configs/ablations.toml", ["seeds=[0, 1]"])
    base = {0: result((1, 2, 2), (2, 2, 2), (0, 1, 2)), 1: result((2, 2, 2), (1, 2, 2), (1, 1, 2))}
    better = {1: result((2, 2, 2), (2, 2, 2), (2, 2, 2))}
    entries = compare(config, {"base": base, "focal": better, "r-drop": {}})
    assert list(entries) == ["base", "focal"]
    assert entries["base"] == {
        "overrides": {}, "micro_f1": 0.6364, "sd": 0.1286, "scores": {"0": 0.5455, "1": 0.7273}, "seeds": 2,
    }  # fmt: skip
    assert entries["focal"] == {
        "overrides": {"focal": 2.0}, "micro_f1": 1.0, "sd": None, "scores": {"1": 1.0}, "seeds": 1,
        "incomplete": "1 of 2 seeds", "difference": 0.2727,
        "p": pytest.approx(paired_bootstrap(*(_counts(r) for r in (base[1], better[1]))), abs=1e-4),
    }  # fmt: skip


def _counts(row: dict[str, Any]) -> Any:
    import numpy as np

    return np.array(row["counts"])
