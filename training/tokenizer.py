"""The tokenizer of a base model, whatever form its folder or Hub repository has it in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from renshi.text import normalize

__all__ = ["add_entries", "add_line_feed", "build_vocabulary", "from_vocabulary", "load_fast_tokenizer"]

SPECIAL_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def from_vocabulary(entries: list[str]) -> PreTrainedTokenizerFast:
    """BERT's own tokenization (lower case, accents stripped, one token an ideograph, word pieces) over `entries`."""
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **SPECIAL_TOKENS)


def load_fast_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a folder (``tokenizer.json``, or only ``vocab.txt``) or of a Hub id."""
    vocabulary = Path(name, "vocab.txt")
    if vocabulary.exists() and not Path(name, "tokenizer.json").exists():
        return from_vocabulary(vocabulary.read_text(encoding="utf-8").split("\n")[:-1])
    tokenizer: Any = AutoTokenizer.from_pretrained(name, use_fast=True)
    return cast(PreTrainedTokenizerFast, tokenizer)


def build_vocabulary(texts: Iterable[str], min_count: int = 1) -> list[str]:
    """BERT's special tokens, then every character of the normalized texts that occurs at least `min_count` times, in
    order of frequency; what stands inside Latin words and numbers also as a word piece, so that no word is unknown."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(character for character in normalize(text).text.lower() if not character.isspace())
    frequent = [character for character, count in counts.most_common() if count >= min_count]
    pieces = [f"##{character}" for character in frequent if character.isascii() and character.isalnum()]
    return [*SPECIAL_TOKENS.values(), *frequent, *pieces]


def add_entries(
    model: Any, tokenizer: PreTrainedTokenizerFast, like: Mapping[str, str]
) -> tuple[PreTrainedTokenizerFast, int]:
    """Give each key of `like` that has no entry one of its own, with the embedding of the entry that it maps to.

    The model is changed in place; its output embeddings, where it has them, follow. Keys that map to what has no entry are
    left out. Returns the new tokenizer and the number of entries added."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary: dict[str, int] = state["model"]["vocab"]
    added = {new: old for new, old in sorted(like.items()) if new not in vocabulary and old in vocabulary}
    first = max(tokenizer.get_vocab().values()) + 1
    origins = [vocabulary[old] for old in added.values()]
    vocabulary |= {new: first + index for index, new in enumerate(added)}
    rows = slice(first, first + len(added))
    model.resize_token_embeddings(
        max(first + len(added), model.get_input_embeddings().num_embeddings), mean_resizing=False
    )
    head = model.get_output_embeddings()
    with torch.no_grad():
        table = model.get_input_embeddings().weight
        table[rows] = table[origins]
        if head is not None:  # tied weights are written twice, to the same effect
            head.weight[rows] = head.weight[origins]
            if head.bias is not None:
                head.bias[rows] = head.bias[origins]
    new_tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        model_max_length=tokenizer.model_max_length,
        **cast(Any, tokenizer.special_tokens_map),
    )
    return new_tokenizer, len(added)


def add_line_feed(model: Any, tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Make the end of a line visible: BERT's tokenization drops all white space, and with it where a headline, a caption, a
    row of a list ends. The new entry ``\\n`` begins as what ends a sentence.

    The model is changed in place. A tokenizer that has the entry is left as it is. Returns the tokenizer."""
    if tokenizer.backend_tokenizer.token_to_id("\n") is not None:
        return tokenizer
    ends = "。" if tokenizer.backend_tokenizer.token_to_id("。") is not None else cast(str, tokenizer.sep_token)
    tokenizer, _ = add_entries(model, tokenizer, {"\n": ends})
    tokenizer.add_tokens([AddedToken("\n", normalized=False)])  # looked for before white space is dropped
    return tokenizer
