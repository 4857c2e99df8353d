"""What a counted start is worth: one pretraining config, run from each start in the table below.

    python -m scripts.study_starts configs/studies/ppmi.toml --json results/ppmi.json

All starts see the same tokens in the same order under the same masks. A run that was done is not done again.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from training.config import ConfigError, load_config
from training.pretrain import PretrainConfig, pretrain

STARTS: dict[str, list[str]] = {
    "random": ["init=random"],
    "embeddings and heads": ["init=ppmi"],
    "embeddings": ["init=ppmi", "ppmi={heads = []}"],
    "embeddings and heads, positions of 1 radian": ["init=ppmi", "ppmi={fastest = 1.0}"],
}


def run(path: Path, name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The losses of one start, over tokens."""
    output = load_config(PretrainConfig, path).output
    folder = Path(output, name.replace(",", "").replace(" ", "-"))
    config = load_config(PretrainConfig, path, [*overrides, f"output={json.dumps(str(folder))}"])
    if not (folder / "model").exists():
        pretrain(config)
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "overrides": list(overrides),
        "training_loss": {str(row["tokens"]): row["loss"] for row in rows if "loss" in row},
        "heldout_loss": {
            str(row["step"] * config.batch_tokens): row["heldout_loss"] for row in rows if "heldout_loss" in row
        },
        "heldout_accuracy": [row["heldout_accuracy"] for row in rows if "heldout_loss" in row][-1],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a pretraining config with heldout")
    parser.add_argument("--json", type=Path, required=True, help="where the losses go")
    options = parser.parse_args(arguments)
    conditions = {
        "config": str(options.config),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "runs_a_start": 1,
    }
    found: dict[str, Any] = {}
    try:
        for name, overrides in STARTS.items():
            found[name] = run(options.config, name, overrides)
            report = {"conditions": conditions, "starts": found}  # whole after every start: a kill loses one of them
            options.json.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except (ConfigError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for name, losses in found.items():
        print(f"{name:45} {losses['heldout_loss']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
