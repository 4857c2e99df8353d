"""Training with the real Trainer, tiny: it learns, resumes, and what it writes loads everywhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForTokenClassification, pipeline

from renshi import Extractor
from renshi.labels import LABELS, bio_tags
from renshi.model import MODEL_FILES
from training.align import bit
from training.average import AVERAGE_FILE
from training.config import ConfigError, load_config
from training.train import (
    Collator,
    Source,
    TokenBatches,
    TrainConfig,
    align_sources,
    fit,
    hide,
    load_base,
    main,
    read_sources,
    train,
)

ROOT = Path(__file__).parents[1]
PAGE = "{省学会|ORG}{会长|TITLE}{王进龙|PER}出席{成立大会|EVENT.FOUNDING}。{山西医院|ORG}{院长|TITLE}{白敏|PER}讲话。\n"

METHODS = ["layer_decay=0.8", "average=0.95", "adversarial=0.5", "r_drop=1.0", "focal=1.0", "dropout=0.1"]


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
@pytest.mark.parametrize("options", [["dropout=0.1"], METHODS], ids=["plain", "all-methods"])
def test_a_killed_run_goes_on_as_if_undisturbed(config_file: Path, tmp_path: Path, options: list[str]) -> None:
    """SIGKILL after the first checkpoint, the same command again: the weights are those of a run in one piece."""
    command = [sys.executable, "-m", "training.train", str(config_file), "mask_share=0.1", "patience=9", *options]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}  # the sums in one order
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
    if options == METHODS:
        first, second = (load_file(output / "checkpoints/checkpoint-60" / AVERAGE_FILE) for output in (killed, whole))
        for name, tensor in first.items():
            torch.testing.assert_close(tensor, second[name], atol=1e-5, rtol=1e-4, msg=name)


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


def test_sources_follow_each_other() -> None:
    lengths = [[20] * 50, [20] * 80, [20] * 40]

    def read(spans: list[tuple[float, float]], seed: int = 1) -> list[list[int]]:
        return list(TokenBatches(lengths, [1.0, 2.0, 1.0], budget=100, steps=60, seed=seed, spans=spans))

    batches = read([(0.0, 1.0), (0.0, 0.5), (0.5, 1.0)])
    assert len(batches) == 60
    parts = [[index for batch in batches[start : start + 30] for index in batch] for start in (0, 30)]
    assert max(parts[0]) < 130
    assert sum(index >= 50 for index in parts[0]) / sum(index < 50 for index in parts[0]) == pytest.approx(3.2, rel=0.3)
    assert not {index for index in parts[1] if 50 <= index < 130}
    assert len(set(parts[1])) == 90  # each once, and then again from the start: 30 batches of 5
    assert batches == read([(0.0, 1.0), (0.0, 0.5), (0.5, 1.0)])  # a resumed run passes over what it has seen
    assert read([]) == read([(0.0, 1.0)] * 3) != read([], seed=2)
    shares = [
        list(TokenBatches(lengths, [1.0, 2.0, 1.0], 50, 60, 1, rank, 2, [(0.0, 1.0), (0.0, 0.5), (0.5, 1.0)]))
        for rank in (0, 1)
    ]
    assert all(sorted(a + b) == sorted(batch) for a, b, batch in zip(*shares, batches, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "methods", [[], ["adversarial=0.5", "average=0.9", "layer_decay=0.8"]], ids=["plain", "methods"]
)
def test_two_processes_have_the_loss_curve_of_one_with_twice_the_batch(
    config_file: Path, tmp_path: Path, methods: list[str]
) -> None:
    """`torchrun` over gloo against one process, texts of many lengths, so that the shares hold unlike numbers of tokens.
    Dropout is off, as every process draws its own; what is left is the rounding of sums, in float32: bfloat16's, with the
    steps of adversarial training, grows into another curve within fifty steps."""
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
        options = [f"output={run}", f"batch_tokens={tokens}", "steps=100", "patience=9", "dtype=float32", *methods]
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
    for two, one in zip(curves["two"], curves["one"], strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-4)  # it was 2e-7


def test_what_is_scored_and_kept_is_the_average(config_file: Path) -> None:
    config = load_config(TrainConfig, config_file, [*METHODS, "steps=9", "learning_rate=2e-2"])
    folder = train(config)
    state = json.loads((folder.parent / "checkpoints/checkpoint-9/trainer_state.json").read_text())
    best = Path(state["best_model_checkpoint"])
    kept, average, last = (
        load_file(path) for path in (folder / "model.safetensors", best / AVERAGE_FILE, best / "model.safetensors")
    )
    for name, tensor in kept.items():
        assert torch.equal(tensor, average[name].bfloat16())
        assert "key.bias" in name or not torch.equal(tensor, last[name].bfloat16())  # softmax takes no notice of it
    scores = [row["eval_micro_f1"] for row in state["log_history"] if "eval_micro_f1" in row]
    assert state["best_metric"] == max(scores)


def test_a_run_goes_on_from_a_checkpoint_to_the_bit(config_file: Path, tmp_path: Path) -> None:
    """As after a kill: a checkpoint, and beside it a later one that was only begun."""
    ends = []
    for output in (tmp_path / "whole", tmp_path / "resumed"):
        config = load_config(TrainConfig, config_file, [*METHODS, "mask_share=0.2", "steps=6", f"output={output}"])
        sources = read_sources(config.train, config.data_root)
        checkpoints = output / "checkpoints"
        if ends:
            earlier = next(path for path in (tmp_path / "whole/checkpoints").iterdir() if path.name != "checkpoint-6")
            shutil.copytree(earlier, checkpoints / earlier.name)
            (checkpoints / "checkpoint-5").mkdir()
            shutil.copy(earlier / "model.safetensors", checkpoints / "checkpoint-5")
        trainer, _ = fit(config, sources, sources[0])
        assert trainer.state.global_step == 6
        ends.append(
            {name: load_file(checkpoints / "checkpoint-6" / name) for name in ("model.safetensors", AVERAGE_FILE)}
        )
    for file, tensors in ends[0].items():
        assert all(torch.equal(tensor, ends[1][file][name]) for name, tensor in tensors.items())


def test_where_sets_are_simply_mixed_nothing_is_allowed_beside_o(config_file: Path, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(
        '{"text": "王进龙记者说", "label": {"name": {"王进龙": [[0, 2]]}, "position": {"记者": [[3, 4]]}}}\n', "utf-8"
    )
    sources = (Source(format="cluener", path=str(tmp_path / "train.json")),)
    allowed = {}
    for partial in (True, False):
        config = replace(load_config(TrainConfig, config_file), train=sources, partial_labels=partial)
        examples = read_sources(sources, "")
        _, tokenizer = load_base(config, examples, LABELS)
        ((row,),) = align_sources(config, examples, tokenizer, LABELS)
        allowed[partial] = row.allowed.tolist()
    first, rest = bit("B-PER"), bit("I-PER")
    assert allowed[False] == [0, first, rest, rest, 1, 1, 1, 0]
    assert allowed[True][:4] == allowed[False][:4]
    titles, events = bit("B-TITLE") | bit("I-TITLE"), bit("B-EVENT.FORUM")
    assert [mask & (1 | titles) for mask in allowed[True][4:7]] == [1 | titles, 1 | titles, 1]
    assert all(mask & events for mask in allowed[True][4:7])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("layer_decay=0.0", "layer_decay: 0.0 is not above 0 and at most 1; 1 is the same rate for all layers"),
        (
            "layers=3",
            "layers, intermediate_size: grow a base model; what random weights have is the table [random_encoder]",
        ),
        ("trained_positions=-1", "trained_positions: -1 is below 0, which is off"),
        ("trained_positions=9", "trained_positions: says what a base model was trained for"),
        ("average=1.0", "average: 1.0 is not between 0 and 1"),
        ("adversarial=-1.0", "adversarial: -1.0 is below 0, which is off"),
        ("r_drop=1.0", "r_drop: two passes without dropout are the same; set dropout above 0, or leave it out"),
        ("focal=-2.0", "focal: -2.0 is below 0, which is off"),
        (
            'train=[{format="markup", path="a", until=0.5}, {format="markup", path="b", since=0.6}]',
            "train: from 50% of the run on no source is read; since and until leave a gap",
        ),
        (
            'train=[{format="markup", path="a", since=0.5, until=0.5}]',
            "train[0].since: 0.5 to until: 0.5 is no part of a run; 0.0 to 1.0 is the whole",
        ),
    ],
)
def test_options_that_cannot_be_are_refused(config_file: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(TrainConfig, config_file, [override])
    assert message in str(caught.value)


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


def test_a_base_is_grown_before_it_is_fine_tuned(tiny_model: Path, config_file: Path, tmp_path: Path) -> None:
    """Deeper and wider, and a run that goes on finds in its checkpoint what the config says."""
    settings = [
        f"base_model={tiny_model}",
        "layers=3",
        "intermediate_size=80",
        "trained_positions=64",
        "steps=4",
        "evaluations=2",
    ]
    config = load_config(TrainConfig, config_file, settings)
    folder = train(config)
    shutil.rmtree(folder)
    train(replace(config, steps=6))
    grown = AutoModelForTokenClassification.from_pretrained(folder)
    assert (grown.config.num_hidden_layers, grown.config.intermediate_size) == (3, 80)
    assert len(grown.bert.encoder.layer) == 3
    assert Extractor.from_pretrained(folder).extract("王进龙会长出席会议。")


def test_a_base_is_never_cut(tiny_model: Path, config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(config_file), f"base_model={tiny_model}", "layers=1"]) == 2
    assert "layers: 1 is less than the base model's 2" in capsys.readouterr().err


def test_the_collator_pads_and_hides() -> None:
    rows = [{"input_ids": [2, 7, 8, 3], "allowed": [0, 1, 2, 0]}, {"input_ids": [2, 9, 3], "allowed": [0, 4, 0]}]
    batch = Collator(pad_id=0, mask_id=4)(rows)
    assert batch["input_ids"].tolist() == [[2, 7, 8, 3], [2, 9, 3, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch["allowed"].tolist() == [[0, 1, 2, 0], [0, 4, 0, 0]]
    hidden = hide(batch, mask_id=4, share=0.999)["input_ids"]
    assert batch["input_ids"][0].tolist() == [2, 7, 8, 3]
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
