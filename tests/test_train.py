"""Training with the real Trainer, tiny: it learns, resumes, and what it writes loads everywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForTokenClassification, pipeline

from renshi import Extractor
from renshi.labels import LABELS, bio_tags
from renshi.model import MODEL_FILES, supports_bfloat16
from training.config import load_config
from training.train import Collator, TokenBatches, TrainConfig, load_base, main, train

ROOT = Path(__file__).parents[1]
PAGE = "{省学会|ORG}{会长|TITLE}{王进龙|PER}出席{成立大会|EVENT.FOUNDING}。{山西医院|ORG}{院长|TITLE}{白敏|PER}讲话。\n"


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    for split in ("train", "dev"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "page.txt").write_text(PAGE, encoding="utf-8")
    path = tmp_path / "run.toml"
    path.write_text(
        f"""
base_model = "random"
output = "{(tmp_path / "run").as_posix()}"
data_root = "{tmp_path.as_posix()}"
max_length = 64
batch_tokens = 128
steps = 60
evaluations = 3
learning_rate = 5e-3
dropout = 0.0
random_encoder = {{hidden_size = 32, num_hidden_layers = 2, num_attention_heads = 2}}
[[train]]
format = "markup"
path = "{{data_root}}/train"
weight = 4
[[dev]]
format = "markup"
path = "{{data_root}}/dev"
""",
        encoding="utf-8",
    )
    return path


def test_learns_a_page_and_writes_what_users_load(config_file: Path) -> None:
    folder = train(load_config(TrainConfig, config_file))
    run = folder.parent
    assert {path.name for path in folder.iterdir()} == {*MODEL_FILES, "README.md"}
    assert {path.name for path in run.iterdir()} == {
        "model",
        "checkpoints",
        "config.toml",
        "metrics.json",
        "learning-curves.png",
    }
    assert json.loads((run / "metrics.json").read_text())["dev_micro_f1"] == 1.0
    assert load_config(TrainConfig, run / "config.toml") == load_config(TrainConfig, config_file)
    assert all(tensor.dtype == torch.bfloat16 for tensor in load_file(folder / "model.safetensors").values())

    (record,) = Extractor.from_pretrained(folder, dtype="float32").extract("省学会会长王进龙出席成立大会。")
    assert [(e.text, e.label) for e in record.entities] == [  # type: ignore[union-attr]
        ("省学会", "ORG"), ("会长", "TITLE"), ("王进龙", "PER"), ("成立大会", "EVENT.FOUNDING"),
    ]  # fmt: skip
    predicted = pipeline("token-classification", model=str(folder), aggregation_strategy="simple")("省学会会长王进龙")
    assert [(e["start"], e["end"], e["entity_group"]) for e in predicted] == [
        (0, 3, "ORG"),
        (3, 5, "TITLE"),
        (5, 8, "PER"),
    ]


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_undisturbed(config_file: Path, tmp_path: Path) -> None:
    """SIGKILL after the first checkpoint, the same command again: the weights are those of a run in one piece."""
    command = [sys.executable, "-m", "training.train", str(config_file), "mask_share=0.1", "dropout=0.1", "patience=9"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen([*command, f"output={killed}"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    state = killed / "checkpoints/checkpoint-20/trainer_state.json"
    while not state.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for output in (killed, whole):
        subprocess.run([*command, f"output={output}"], cwd=ROOT, env=environment, check=True, capture_output=True)
    first, second = (load_file(output / "model/model.safetensors") for output in (killed, whole))
    for name, tensor in first.items():
        torch.testing.assert_close(tensor.float(), second[name].float(), atol=0.02, rtol=0.02, msg=name)


def test_batches_keep_the_budget_and_the_weights() -> None:
    lengths = [list(range(10, 60)), [20] * 100]
    batches = list(TokenBatches(lengths, [1.0, 0.5], budget=120, steps=200, seed=3))
    assert len(batches) == 200
    flat = [*lengths[0], *lengths[1]]
    assert all(len(batch) * max(flat[index] for index in batch) <= 120 for batch in batches)
    seen = np.bincount([index for batch in batches for index in batch], minlength=150)
    assert seen[:50].mean() / seen[50:].mean() == pytest.approx(2.0, rel=0.2)


def test_processes_share_the_batches_of_one_with_their_budget_together() -> None:
    lengths = [list(range(10, 40)), [20] * 50]
    for processes in (1, 2, 3):
        one = list(TokenBatches(lengths, [1.0, 0.5], 60 * processes, steps=99, seed=1))
        shares = [list(TokenBatches(lengths, [1.0, 0.5], 60, 99, 1, rank, processes)) for rank in range(processes)]
        for batch, *parts in zip(one, *shares, strict=True):
            assert sorted(row for part in parts for row in part) == sorted(batch)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one_with_twice_the_batch(config_file: Path, tmp_path: Path) -> None:
    """`torchrun` over gloo against one process, texts of many lengths, so that the shares hold unlike numbers of tokens.
    Dropout is off, as every process draws its own; what is left is the rounding of sums."""
    texts = [f"{{省学会|ORG}}{{会长|TITLE}}{{王进龙|PER}}{'出席会议并讲话' * (number % 7)}。" for number in range(33)]
    for number, text in enumerate(texts):
        (tmp_path / f"train/{number}.txt").write_text(text + "\n", encoding="utf-8")
    (tmp_path / "dev/2.txt").write_text(PAGE * 3, encoding="utf-8")
    config_file.write_text(config_file.read_text(encoding="utf-8").replace("weight = 4", "weight = 1"), "utf-8")
    lengths = [[29, *(11 + 7 * (number % 7) for number in range(33))]]
    assert 1 in map(len, TokenBatches(lengths, [1.0], 256, 100, 0))  # now and then a process has nothing to do
    curves = {}
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, start, tokens in (("two", torchrun, 128), ("one", [], 256)):
        run = tmp_path / name
        options = [f"output={run}", f"batch_tokens={tokens}", "steps=100", "patience=9"]
        command = [sys.executable, *start, "-m", "training.train", str(config_file), *options]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("windows of 64: ") == 1  # the first process reports, the others work
        assert done.stdout.count("dev micro F1") == 1
        last = max((run / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
        rows = json.loads((last / "trainer_state.json").read_text())["log_history"]
        curves[name] = [[row[key] for row in rows if key in row] for key in ("loss", "grad_norm", "eval_micro_f1")]
        if name == "two":
            assert len(list(last.glob("rng_state_*.pth"))) == 2
    assert len(curves["one"][0]) == 100
    assert curves["one"][0][-1] < curves["one"][0][0] / 4
    tolerance = 0.03 if supports_bfloat16("cpu") else 1e-4  # it was 2e-7 in float32
    for two, one in zip(curves["two"], curves["one"], strict=True):
        assert two == pytest.approx(one, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("labels", [("PER", "LOC"), tuple(reversed(LABELS)), LABELS])
def test_a_fine_tuned_base_gives_its_encoder_and_its_head_only_for_the_same_tags(
    tiny_model: Path, config_file: Path, labels: tuple[str, ...]
) -> None:
    config = load_config(TrainConfig, config_file, [f"base_model={tiny_model}"])
    model, _ = load_base(config, [], labels)
    before = AutoModelForTokenClassification.from_pretrained(tiny_model, dtype=torch.float32)
    assert model.config.id2label == dict(enumerate(bio_tags(labels)))
    assert model.classifier.out_features == len(bio_tags(labels))
    after = model.bert.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.bert.state_dict().items())
    assert (labels == LABELS) == torch.equal(model.classifier.weight[:5], before.classifier.weight[:5])


def test_the_collator_pads_and_hides() -> None:
    rows = [{"input_ids": [2, 7, 8, 3], "allowed": [0, 1, 2, 0]}, {"input_ids": [2, 9, 3], "allowed": [0, 4, 0]}]
    batch = Collator(pad_id=0, mask_id=4, mask_share=0.0)(rows)
    assert batch["input_ids"].tolist() == [[2, 7, 8, 3], [2, 9, 3, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch["allowed"].tolist() == [[0, 1, 2, 0], [0, 4, 0, 0]]
    hidden = Collator(pad_id=0, mask_id=4, mask_share=0.999)(rows)["input_ids"]
    assert hidden[:, 0].tolist() == [2, 2]
    assert hidden[0, 3] == 3


def test_data_that_are_not_there_are_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.toml"
    source = f'format = "markup"\npath = "{tmp_path}/nowhere"\n'
    text = f'base_model = "random"\noutput = "{tmp_path}/run"\n[[train]]\n{source}[[dev]]\n{source}'
    path.write_text(text, encoding="utf-8")
    assert main([str(path)]) == 2
    assert "nowhere: there is no such file or folder" in capsys.readouterr().err
