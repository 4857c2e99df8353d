"""Pretraining on a tiny corpus: it learns, stops on time, and what it writes is an encoder to fine-tune."""

import itertools
import json
import lzma
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

from training.config import ConfigError, format_config, load_config
from training.encoder import RandomEncoder, extend_positions, grow
from training.ppmi import sinusoids
from training.pretrain import PretrainConfig, Pretraining, batches, learning_rate, mask, pretrain, sequences
from training.tokenizer import build_vocabulary, from_vocabulary, load_fast_tokenizer

ROOT = Path(__file__).parents[1]
LINE = "省學會會長王進龍出席成立大會並致辭,山西省腫瘤醫(yī)院承辦。\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    tokenizer = from_vocabulary(build_vocabulary([LINE]))
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), hidden_dropout_prob=0.0, **shape)).save_pretrained(
        tmp_path / "base"
    )
    tokenizer.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def config(tmp_path: Path, base: Path, steps: int) -> PretrainConfig:
    with lzma.open(tmp_path / "corpus.txt.xz", "wt", encoding="utf-8") as corpus:
        corpus.write((LINE * 10 + "會會會會會會會會會會會會會會會會會會會會\n" * 10 + "\n") * 5)
    return PretrainConfig(
        base_model=str(base), output=str(tmp_path / "run"), data_root=str(tmp_path), cache=str(tmp_path / "cache"),
        corpora={"corpus.txt.xz": 1.5}, lengths={"16": 0.5, "32": 0.5}, batch_tokens=128, steps=steps,
        learning_rate=1e-2,
    )  # fmt: skip


def guess(folder: Path) -> str:
    """What the model reads into a masked place. (A random model of one layer learns frequencies first.)"""
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = load_fast_tokenizer(str(folder))
    ids = tokenizer("会会[MASK]会", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        best = model(input_ids=ids).logits[0, ids[0] == tokenizer.mask_token_id].argmax(-1)
    return str(tokenizer.convert_ids_to_tokens(best)[0])


def test_learns_and_goes_on(tmp_path: Path, base: Path) -> None:
    assert guess(base) != "会"
    folder = pretrain(config(tmp_path, base, 300))
    assert guess(folder) == "会"  # the corpus has 會
    assert next(AutoModelForMaskedLM.from_pretrained(folder).parameters()).dtype == torch.bfloat16
    pretrain(config(tmp_path, base, 320))  # the budget is raised: the run goes on
    assert torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)["step"] == 320


def test_masks_the_share_and_never_a_special_token() -> None:
    ids = np.random.default_rng(0).integers(5, 50, size=(8, 64))
    ids[:, 0], ids[:, -1] = 2, 3
    masked, positions, labels = mask(ids, 0.15, (0, 1, 2, 3, 4), 4, 50, np.random.default_rng(1))
    assert 0.12 < len(positions) / ids.size < 0.1501
    assert (ids.reshape(-1)[positions] == labels).all()
    assert not np.isin(labels, (0, 1, 2, 3, 4)).any()
    untouched = np.delete(masked.reshape(-1), positions)
    assert (untouched == np.delete(ids.reshape(-1), positions)).all()
    assert 0.7 < (masked.reshape(-1)[positions] == 4).mean() < 0.9


def test_reads_each_corpus_as_often_as_it_weighs() -> None:
    source = sequences([1.5], [np.zeros(3000, dtype=np.uint16)], 32, 0)
    starts = [next(source)[1] for _ in range(148)]
    assert all(0 <= start <= 3000 - 30 for start in starts)
    # Two readings, from two random places on: one whole (99 sequences of 30 tokens), one of every other sequence.
    assert sorted(Counter(start % 30 for start in starts).values()) == [49, 99]


def test_batches_have_the_lengths_and_tokens_asked_for_and_can_be_entered_anywhere(tmp_path: Path, base: Path) -> None:
    settings = config(tmp_path, base, 10)
    arrays = [np.arange(5000, dtype=np.uint16) % 100 + 10]
    found = list(itertools.islice(batches(settings, arrays, 2, 3, 0), 60))
    assert {batch.shape for batch in found} == {(8, 16), (4, 32)}
    assert all((batch[:, 0] == 2).all() and (batch[:, -1] == 3).all() for batch in found)
    later = list(itertools.islice(batches(settings, arrays, 2, 3, 37), 23))
    assert all((one == other).all() for one, other in zip(found[37:], later, strict=True))
    shared = [list(itertools.islice(batches(settings, arrays, 2, 3, 0, rank, 2), 60)) for rank in (0, 1)]
    for whole, first, second in zip(found, *shared, strict=True):  # two processes share each batch
        assert sorted(map(tuple, whole)) == sorted(map(tuple, np.concatenate([first, second])))


def test_the_rate_warms_up_and_decays_to_nothing(tmp_path: Path, base: Path) -> None:
    settings = config(tmp_path, base, 10)
    assert learning_rate(0.0, settings) == 0.0
    assert learning_rate(settings.warmup_share, settings) == pytest.approx(settings.learning_rate)
    assert learning_rate(1.0, settings) == pytest.approx(0.0, abs=1e-9)


def test_refuses_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('base_model = "x"\noutput = "y"\n[corpora]\n"a.txt" = 0\n[lengths]\n1000 = 1\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(PretrainConfig, path)
    assert "corpora.a.txt: 0.0 is not a weight above 0" in str(caught.value)
    assert "lengths.1000: is not between 8 and 512 tokens" in str(caught.value)


def test_a_grown_encoder_starts_as_what_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertForMaskedLM(BertConfig(vocab_size=50, **shape)).eval()
    ids = torch.arange(5, 45).reshape(2, 20)
    with torch.no_grad():
        before = model(ids).logits
        grow(model, 5)
        after = model(ids).logits
    assert model.config.num_hidden_layers == 5
    torch.testing.assert_close(before, after, atol=0.02, rtol=0.02)
    model.save_pretrained(tmp_path)
    assert len(BertForMaskedLM.from_pretrained(tmp_path).bert.encoder.layer) == 5
    with pytest.raises(ConfigError, match="layers: 3 is less than the base model's 5"):
        grow(model, 3)


def test_positions_go_on_as_they_began() -> None:
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2))
    table = model.bert.embeddings.position_embeddings.weight
    mixed = torch.from_numpy(sinusoids(512, 32, fastest=1.0)) @ torch.randn(32, 32)
    with torch.no_grad():
        table.copy_(mixed)
        table[256:] = 0
    extend_positions(model, 256)
    assert torch.equal(table[:256], mixed[:256])
    assert (table[256:] - mixed[256:]).norm() < 0.5 * mixed[256:].norm()
    with pytest.raises(ConfigError, match="trained_positions: 512 is not between 1 and 511"):
        extend_positions(model, 512)


def test_wider_feed_forward_layers_start_as_what_they_were(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertForMaskedLM(BertConfig(vocab_size=50, **shape)).eval()
    ids = torch.arange(5, 45).reshape(2, 20)
    before = model(ids).logits
    grow(model, intermediate_size=96)
    model.save_pretrained(tmp_path)
    wider = BertForMaskedLM.from_pretrained(tmp_path)
    assert wider.config.intermediate_size == 96
    torch.testing.assert_close(before, wider(ids).logits)
    wider(ids).logits.square().mean().backward()
    feed_forward = wider.bert.encoder.layer[0]
    assert feed_forward.output.dense.weight.grad[:, 64:].abs().min() > 0, "what adds nothing yet can learn to"
    with pytest.raises(ConfigError, match="intermediate_size: 64 is less than the base model's 96"):
        grow(wider, intermediate_size=64)


def test_what_was_held_out_is_measured_at_every_checkpoint(tmp_path: Path, base: Path) -> None:
    folder = tmp_path / "heldout"
    folder.mkdir()
    (folder / "a.txt").write_text("{王进|PER}会长出席会议。" * 40, encoding="utf-8")
    settings = replace(config(tmp_path, base, 60), heldout=str(folder), layers=2)
    pretrain(settings)
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text(encoding="utf-8").splitlines()]
    measured = [row for row in rows if "heldout_loss" in row]
    assert [row["step"] for row in measured] == [0, 60]
    assert measured[0]["heldout_loss"] > measured[1]["heldout_loss"]
    assert (tmp_path / "run/learning-curve.png").stat().st_size > 5000


def test_a_new_encoder_starts_from_counts(tmp_path: Path, base: Path) -> None:
    """From one command to a BERT: no base model, the vocabulary of another one; a second call goes on without counting."""
    start = replace(
        config(tmp_path, base, 2), base_model="random", tokenizer=str(base), init="ppmi", dtype="float32",
        random_encoder=RandomEncoder(hidden_size=32, num_attention_heads=2, max_position_embeddings=64),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.pretrain.draw_learning_curve", lambda rows, path: None)
        model = BertForMaskedLM.from_pretrained(pretrain(start))
        assert model.config.max_position_embeddings == 64
        norms = model.bert.embeddings.word_embeddings.weight.float().norm(dim=1)
        assert ((norms - 0.8).abs() < 0.05).sum() > 15  # all that occurs, after two steps
        patch.setattr("training.pretrain.warm_start", None)
        pretrain(replace(start, steps=3))
    assert torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)["step"] == 3


def test_a_killed_run_goes_on_as_if_undisturbed(tmp_path: Path, base: Path) -> None:
    """A run that stopped at a checkpoint half-way ends with the weights of one that never stopped."""
    whole = config(tmp_path, base, 40)
    half = replace(whole, output=str(tmp_path / "half"))
    pretrain(whole)
    original = Pretraining.step

    def die(self: Pretraining, batch: np.ndarray) -> float:
        if self.step_number == 20:
            self.save()
            raise KeyboardInterrupt
        return original(self, batch)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Pretraining, "step", die)
        pretrain(half)
    pretrain(half)
    first, second = (torch.load(Path(c.output, "checkpoint.pt"), weights_only=True)["model"] for c in (whole, half))
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], msg=name)


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one_with_twice_the_rows(tmp_path: Path, base: Path) -> None:
    """`torchrun` over gloo against one process that accumulates two parts: the same masks and dropout, step by step."""
    settings = replace(config(tmp_path, base, 200), heldout=str(tmp_path / "heldout"))
    (tmp_path / "heldout").mkdir()
    (tmp_path / "heldout/1.txt").write_text("省学会会长王进龙出席成立大会并致辞。" * 20 + "\n", encoding="utf-8")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    curves = {}
    for name, start, parts in (("two", torchrun, 1), ("one", [], 2)):
        file = tmp_path / f"{name}.toml"
        file.write_text(format_config(replace(settings, output=str(tmp_path / name), accumulate=parts)), "utf-8")
        command = [sys.executable, *start, "-m", "training.pretrain", str(file)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        curves[name] = [
            [row[key] for row in rows if key in row] for key in ("loss", "heldout_loss", "heldout_accuracy")
        ]
        (tmp_path / "cache").rename(tmp_path / f"{name}-cache")  # the other run tokenizes too
    assert [len(curve) for curve in curves["one"]] == [2, 2, 2]
    for two, one in zip(curves["two"], curves["one"], strict=True):
        assert two == pytest.approx(one, rel=0.01, abs=0.01)
