from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from training.ablations import AblationConfig
from training.benchmark import BenchmarkConfig
from training.config import ConfigError, format_config, load_config, main_config
from training.pretrain import PretrainConfig
from training.selftrain import SelftrainConfig
from training.train import TrainConfig
from training.vocabulary import VocabularyConfig

CONFIGS = Path(__file__).parents[1] / "configs"
KINDS = {
    **dict.fromkeys(("ablations", "continued", "public"), AblationConfig),
    **dict.fromkeys(("encoder", "new-encoder", "ppmi"), PretrainConfig),
    "selftrain": SelftrainConfig,
    "vocabulary": VocabularyConfig,
    **dict.fromkeys(("cluener", "msra", "resume", "weibo"), BenchmarkConfig),
}  # others: TrainConfig


@dataclass(frozen=True, kw_only=True)
class Inner:
    path: str
    weight: float = 1.0

    def problems(self) -> Iterator[str]:
        if self.weight <= 0:
            yield f"weight: {self.weight} is not above 0"


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    steps: int = 3
    rate: float = 1e-3
    quick: bool = False
    sizes: tuple[int, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    inner: tuple[Inner, ...] = ()

    def problems(self) -> Iterator[str]:
        if self.steps < 1:
            yield f"steps: {self.steps} is less than 1"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.toml")), ids=lambda path: path.stem)
def test_every_committed_config_loads(path: Path) -> None:
    load_config(KINDS.get(path.stem, TrainConfig), path)


def test_values_and_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "a"\nrate = 1\n[[inner]]\npath = "p"\n[weights]\n"x y" = 2\n')
    config = load_config(Outer, path, ["steps=5", "name=b/c", "sizes=[1, 2]", "quick=true"])
    assert config == Outer(
        name="b/c", steps=5, rate=1.0, quick=True, sizes=(1, 2), weights={"x y": 2.0}, inner=(Inner(path="p"),)
    )


def test_all_problems_at_once_with_the_users_keys(tmp_path: Path) -> None:
    path = write(tmp_path, 'stepz = 1\nrate = "high"\nquick = 1\nsizes = [1, "b"]\n[[inner]]\nweight = 0\nx = 1\n')
    with pytest.raises(ConfigError) as caught:
        load_config(Outer, path, ["steps"])
    assert str(caught.value).split("\n") == [
        f"{path}: steps: an override is written key=value, such as seed=1",
        f"{path}: stepz: unknown key; known keys are name, steps, rate, quick, sizes, weights, inner",
        f"{path}: name: is missing, and has no default",
        f"{path}: rate: 'high' is a str; expected a float",
        f"{path}: quick: 1 is a int; expected a bool",
        f"{path}: sizes[1]: 'b' is a str; expected a int",
        f"{path}: inner[0].x: unknown key; known keys are path, weight",
        f"{path}: inner[0].path: is missing, and has no default",
    ]


def test_checks_of_values_name_the_place(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "a"\n[[inner]]\npath = "p"\nweight = -1\n')
    with pytest.raises(ConfigError, match=r"run.toml: inner\[0\].weight: -1.0 is not above 0"):
        load_config(Outer, path)


def test_not_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml: is not valid TOML: "):
        load_config(Outer, write(tmp_path, "name = yes\n"))


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    config = load_config(TrainConfig, CONFIGS / "smoke.toml", ["seed=7", "window_lengths=[64, 128]"])
    assert load_config(TrainConfig, write(tmp_path, format_config(config))) == config
    encoder = load_config(PretrainConfig, CONFIGS / "encoder.toml")
    assert load_config(PretrainConfig, write(tmp_path, format_config(encoder))) == encoder


def test_the_command_line_exits_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main_config(TrainConfig, None, [str(CONFIGS / "smoke.toml"), "leaning_rate=1e-3"])
    assert caught.value.code == 2
    assert "leaning_rate: unknown key; known keys are base_model, output, train, dev" in capsys.readouterr().err


def test_a_run_that_cannot_work_is_refused() -> None:
    config = load_config(TrainConfig, CONFIGS / "smoke.toml")
    wrong = dataclasses.replace(config, batch_tokens=10, steps=0, dropout=1.0, train=())
    assert [problem.split(":")[0] for problem in wrong.problems()] == ["train", "batch_tokens", "steps", "dropout"]
