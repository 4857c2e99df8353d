"""The counted start: counts against a brute-force count, heads that look where they should, and a lower first loss."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertForMaskedLM

from training.config import ConfigError, load_config
from training.encoder import RandomEncoder, new_encoder
from training.ppmi import (
    WarmStart,
    cooccurrence,
    frequencies,
    log_frequencies,
    positive_pmi,
    sinusoids,
    warm_start,
    word_vectors,
)
from training.pretrain import PretrainConfig

IDS = st.lists(st.integers(0, 5), max_size=40)


@settings(max_examples=50)
@given(ids=IDS, offset=st.sampled_from([-3, -2, -1, 1, 2, 3]), chunk=st.integers(1, 50))
def test_counts_are_those_of_a_loop_whatever_the_chunk(ids: list[int], offset: int, chunk: int) -> None:
    expected = Counter((ids[place], ids[place + offset]) for place in range(len(ids)) if 0 <= place + offset < len(ids))
    counts = cooccurrence(np.array(ids, dtype=np.uint16), 6, offset, chunk).tocoo()
    assert dict(zip(zip(*map(np.ndarray.tolist, counts.coords), strict=True), counts.data, strict=True)) == expected


@settings(max_examples=30)
@given(ids=IDS, smoothing=st.sampled_from([0.5, 0.75, 1.0]), shift=st.sampled_from([0.0, 0.5]))
def test_association_is_that_of_the_formula(ids: list[int], smoothing: float, shift: float) -> None:
    pairs = Counter(itertools.pairwise(ids))
    first, second = Counter(ids[:-1]), Counter(ids[1:])
    smoothed = sum(count**smoothing for count in second.values())
    expected = np.zeros((6, 6))
    for (a, b), count in pairs.items():
        joint, alone = count / (len(ids) - 1), first[a] / (len(ids) - 1)
        expected[a, b] = max(0.0, math.log(joint / (alone * second[b] ** smoothing / smoothed)) - shift)
    found = positive_pmi(cooccurrence(np.array(ids, dtype=np.uint16), 6, 1), smoothing, shift)
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-6)


def test_words_of_the_same_neighbours_lie_together() -> None:
    """Ids 10 to 19 stand after 1 and before 2, 20 to 29 after 3 and before 4, in random order."""
    rng = np.random.default_rng(0)
    ids = np.concatenate(
        [(1, rng.integers(10, 20), 2) if rng.random() < 0.5 else (3, rng.integers(20, 30), 4) for _ in range(3000)]
    ).astype(np.uint16)
    vectors = word_vectors([ids], [1.0], 40, 8, WarmStart(offsets=(-1, 1)))
    np.testing.assert_allclose(np.linalg.norm(vectors[10:30], axis=1), 1, atol=1e-5)
    assert not vectors[30:].any()  # what never occurs
    same, other = vectors[10:20] @ vectors[10:20].T, vectors[10:20] @ vectors[20:30].T
    assert same.min() > other.max() + 0.5


def test_the_same_text_gives_the_same_vectors() -> None:
    ids = np.minimum(np.random.default_rng(0).zipf(1.3, size=20_000), 299).astype(np.uint16)
    first, second = (word_vectors([ids], [1.0], 300, 16, WarmStart()) for _ in range(2))
    assert first.shape == (300, 16)
    assert (first == second).all()


def test_a_text_with_fewer_dimensions_than_the_encoder_leaves_the_rest_random() -> None:
    ids = np.tile(np.array([5, 6, 7], dtype=np.uint16), 50)  # three words, each always after the same one
    vectors = word_vectors([ids], [1.0], 10, 64, WarmStart(offsets=(1,)))
    assert vectors.shape == (10, 3)
    model = new_encoder(RandomEncoder(hidden_size=64, num_attention_heads=2), 10)
    before = model.bert.embeddings.word_embeddings.weight.detach().clone()
    warm_start(model, [ids], [1.0], WarmStart(offsets=(1,)))
    after = model.bert.embeddings.word_embeddings.weight.detach()
    torch.testing.assert_close(after[5:8, :61], before[5:8, :61])
    torch.testing.assert_close(after[5:8, 61:].norm(dim=1), torch.full((3,), 0.8))
    torch.testing.assert_close(after[:5], before[:5])  # what never occurs
    warm_start(model, [np.array([5], dtype=np.uint16)], [1.0], WarmStart())  # no pair at all: nothing is told
    torch.testing.assert_close(model.bert.embeddings.word_embeddings.weight.detach(), after)


def test_weights_of_corpora_weigh_what_is_counted() -> None:
    arrays = [np.array([1, 2, 2], dtype=np.uint16), np.array([3], dtype=np.uint16)]
    assert frequencies(arrays, [2.0, 0.5], 5, chunk=2).tolist() == [0, 2, 4, 0.5, 0]
    np.testing.assert_allclose(np.exp(log_frequencies(np.array([7.0, 1.0]))), [0.8, 0.2])
    one = word_vectors([np.array([1, 2, 1, 3] * 9, dtype=np.uint16)] * 2, [1.0, 1.0], 5, 3, WarmStart())
    twice = word_vectors([np.array([1, 2, 1, 3] * 9, dtype=np.uint16)], [2.0], 5, 3, WarmStart())
    np.testing.assert_allclose(np.abs(one), np.abs(twice), atol=1e-4)


@pytest.mark.parametrize(
    ("hidden", "heads", "looking"),
    [(256, 4, 4), (128, 2, 2), (192, 12, 4)],
    ids=["four heads", "fewer heads than offsets", "more heads than offsets"],
)
def test_the_first_heads_look_at_their_neighbour(hidden: int, heads: int, looking: int) -> None:
    """On random words, for every size: the place that a head is set to gets the most attention of all."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    ids = np.minimum(rng.zipf(1.3, size=20_000) + 4, 299).astype(np.uint16)
    model = new_encoder(RandomEncoder(hidden_size=hidden, num_hidden_layers=1, num_attention_heads=heads), 300).eval()
    warm_start(model, [ids], [1.0], WarmStart())
    rows = torch.from_numpy(ids[: 8 * 128].reshape(8, 128).astype(np.int64))
    with torch.no_grad():
        attention = model.bert(rows, output_attentions=True).attentions[0].mean(dim=0)  # (heads, from, to)
    for head, offset in enumerate(WarmStart().heads[:looking]):
        mean = {other: attention[head].diagonal(other)[8:-8].mean().item() for other in range(-8, 9)}
        assert max(mean, key=mean.__getitem__) == offset
        assert mean[offset] > 0.1, mean
    for head in range(looking, heads):  # the others look nowhere in particular
        assert attention[head].max() < 0.1


def test_sinusoids_are_alike_at_the_same_distance() -> None:
    table = sinusoids(100, 33, 3.0)
    assert table.shape == (100, 33)
    assert not table[:, 32].any()
    products = table @ table.T
    np.testing.assert_allclose(np.diagonal(products, 7), products[0, 7], atol=1e-4)


def test_the_first_loss_is_below_that_of_random_weights_and_the_class_is_berts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = np.minimum(rng.zipf(1.5, size=20_000) + 4, 499).astype(np.uint16)
    rows = torch.from_numpy(ids[:2048].reshape(16, 128).astype(np.int64))
    masked = rows.clone()
    masked[:, ::7] = 4
    labels = rows.masked_fill(masked == rows, -100)
    losses = []
    for init in (False, True):
        torch.manual_seed(0)
        model = new_encoder(RandomEncoder(hidden_size=64, num_attention_heads=4), 500).eval()
        if init:
            warm_start(model, [ids], [1.0], WarmStart())
        model.save_pretrained(tmp_path)
        loaded, info = BertForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
        assert not info["missing_keys"]
        assert not info["unexpected_keys"]
        with torch.no_grad():
            loss = model(masked, labels=labels).loss.item()
            assert loaded(masked, labels=labels).loss.item() == pytest.approx(loss, rel=1e-5)
        losses.append(loss)
    shares = np.exp(log_frequencies(frequencies([ids], [1.0], 500)))
    assert losses[0] > math.log(500) - 0.1
    assert losses[1] < losses[0] - 1
    assert losses[1] < -(shares * np.log(shares)).sum() + 0.8  # near what frequencies alone can tell


def test_an_impossible_start_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        'base_model = "models/encoder"\noutput = "y"\ninit = "ppmi"\ncorpora = {"a.txt" = 1}\n'
        "[ppmi]\noffsets = []\nheads = [0, 1, 1]\nshift = -1\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load_config(PretrainConfig, path)
    for sentence in (
        "ppmi.offsets: names none; such as offsets = [-2, -1, 1, 2]",
        "ppmi.heads: 0 is the token itself; name its neighbours, such as -1 and 1",
        "ppmi.heads: [0, 1, 1] names an offset twice",
        "ppmi.shift: -1.0 is below 0",
    ):
        assert sentence in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        load_config(PretrainConfig, path, ["ppmi={}"])
    assert "init: ppmi would overwrite what models/encoder has learned" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        load_config(PretrainConfig, path, ["ppmi={}", "base_model=random", "layers=3", "init=svd"])
    for sentence in (
        "init: 'svd' is unknown; a new encoder begins with random or ppmi",
        "tokenizer: a new encoder needs a vocabulary",
        "layers: grows a base model; a new encoder's are random_encoder.num_hidden_layers",
    ):
        assert sentence in str(caught.value)


BOTH_START = """
import sys
from pathlib import Path
import numpy as np
import torch
from training.config import load_config
from training.pretrain import PretrainConfig, Pretraining
from training.tokenizer import load_fast_tokenizer

config = load_config(PretrainConfig, Path(sys.argv[1]))
ids = np.random.default_rng(0).integers(5, 100, size=5000).astype(np.uint16)
run = Pretraining(config, load_fast_tokenizer(config.tokenizer), [ids])
torch.save(run.model.state_dict(), Path(config.output, f"{run.processes.rank}.pt"))
"""


@pytest.mark.slow
def test_all_processes_begin_with_the_first_ones_counts(tmp_path: Path) -> None:
    (tmp_path / "start.py").write_text(BOTH_START, encoding="utf-8")
    (tmp_path / "c.toml").write_text(
        f'base_model = "random"\ntokenizer = "models/encoder"\ninit = "ppmi"\noutput = "{tmp_path}"\ncorpora = {{"a" = 1}}\n'
        "[random_encoder]\nhidden_size = 32\nnum_hidden_layers = 1\n",
        encoding="utf-8",
    )
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [*command, str(tmp_path / "start.py"), str(tmp_path / "c.toml")], check=True, cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}, timeout=300,
    )  # fmt: skip
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    assert not first["bert.embeddings.token_type_embeddings.weight"].any()  # counted, not drawn
