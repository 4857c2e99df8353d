"""Tiny real models: a two-layer BERT from random weights, in the form that users load."""

from __future__ import annotations

import base64
import signal
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from transformers import BertConfig, BertForTokenClassification

from renshi.labels import TAGS
from training.tokenizer import add_line_feed, build_vocabulary, from_vocabulary

TEXT = (
    "1月24日上午，省学会肺转移瘤专业委员会成立大会在省城举行。省学会会长王进龙出席成立大会并致辞，"
    "白敏、李毅等12名同志任副主任委员。第2届“并州论坛”(CACA)由山西省肿瘤医院承办！John Smith说：“好”；他来自ABC公司？"
)

settings.register_profile("renshi", deadline=None)  # 200 ms an example by default, which a busy machine exceeds
settings.load_profile("renshi")

# A table of characters in the form of SentencePiece: for the byte "x" it leads to a place that it does not have.
_TABLE = (
    struct.pack("<257I", 1024, *(ord("x") | 1 << 8 | 5000 << 10 if n == ord("x") else 0 for n in range(256))) + b"a\0"
)
PANICS_AT_X = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(_TABLE).decode()}
"""A normalizer of tokenizer.json that lets the tokenizers library panic at a text with an x in it."""


def heeds(number: signal.Signals) -> Callable[[], object]:
    """For `preexec_fn`: the process heeds a signal, also where the tests run under nohup or behind an &, which ignore it."""
    return lambda: signal.signal(number, signal.SIG_DFL)


def make_model(folder: Path, *, max_length: int = 64, seed: int = 0, scale: float = 4.0) -> Path:
    """A model folder with random weights; a large `scale` of the head makes it find spans, legal and illegal ones."""
    torch.manual_seed(seed)
    tokenizer = from_vocabulary(build_vocabulary([TEXT]))
    tokenizer.model_max_length = max_length
    model = BertForTokenClassification(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=128,
            id2label=dict(enumerate(TAGS)),
            label2id={tag: index for index, tag in enumerate(TAGS)},
        )
    )
    with torch.no_grad():
        model.classifier.weight.mul_(scale / 0.02 / 10)
    tokenizer = add_line_feed(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with the real labels."""
    return make_model(tmp_path_factory.mktemp("tiny"))
