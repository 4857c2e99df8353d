"""Traditional characters for a vocabulary that has only Simplified ones, without training.

    python -m training.traditional models/encoder runs/encoder-traditional

`renshi` folds Traditional into Simplified before the model reads, so its own extraction has no need of this. The plain
pipeline does not: 學 is ``[UNK]`` to it. Here every Traditional character whose Simplified form has an entry gets one
beside it with the same embedding (and the same output bias), so that 學會 is to the network exactly what 学会 is, as long
as nothing is trained; a later pretraining with a `traditional_share` lets the two part. It costs the rows: the encoder
here gets 1,851 of 256 dimensions, 0.9 MB in bfloat16. What it cannot do is the rest of the normalization (spaces inside
names, half-width punctuation, pinyin).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from tokenizers import Tokenizer
from transformers import AutoConfig, PreTrainedTokenizerFast

from renshi.text import normalize
from training.tokenizer import load_fast_tokenizer

__all__ = ["add_characters", "add_traditional", "traditional_forms"]

# The ideographs of the first plane: what OpenCC's tables know beyond them occurs in no news.
_HAN = [chr(code) for first, last in ((0x3400, 0x4DC0), (0x4E00, 0xA000)) for code in range(first, last)]


def traditional_forms() -> dict[str, str]:
    """The Simplified form of every Traditional ideograph, as `renshi.text.normalize` folds it."""
    folded = normalize("\n".join(_HAN)).text.split("\n")
    return {char: form for char, form in zip(_HAN, folded, strict=True) if char != form}


def add_characters(
    model: Any, tokenizer: PreTrainedTokenizerFast, forms: Mapping[str, str]
) -> tuple[PreTrainedTokenizerFast, int]:
    """Give each character of `forms` that has no entry one of its own, with the embedding of the form that it maps to.

    The model is changed in place; its output embeddings, where it has them, follow. Characters whose form has no entry
    are left out. Returns the new tokenizer and the number of entries added."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary: dict[str, int] = state["model"]["vocab"]
    added = {char: form for char, form in sorted(forms.items()) if char not in vocabulary and form in vocabulary}
    first = max(tokenizer.get_vocab().values()) + 1
    origins = [vocabulary[form] for form in added.values()]
    vocabulary |= {char: first + index for index, char in enumerate(added)}
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
    new = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        model_max_length=tokenizer.model_max_length,
        **cast(Any, tokenizer.special_tokens_map),
    )
    return new, len(added)


def add_traditional(name: str, output: Path) -> int:
    """Write to `output` the model `name` (a folder or a Hub id) with Traditional characters; returns their number.
    Whatever else a folder holds is copied, except graphs in ONNX, whose tables would be the old ones."""
    config = AutoConfig.from_pretrained(name)
    architecture = (config.architectures or ["AutoModel"])[0]
    model = getattr(transformers, architecture).from_pretrained(name, dtype="auto")
    tokenizer, added = add_characters(model, load_fast_tokenizer(name), traditional_forms())
    if Path(name).is_dir():
        shutil.copytree(name, output, ignore=shutil.ignore_patterns("*.onnx*", "onnx", "vocab.txt", "*.safetensors*"))
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    size = added * model.get_input_embeddings().weight[0].nbytes
    print(f"{added:,} Traditional characters added, {size / 1e6:.1f} MB; the model is in {output}")
    return added


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder or a Hub id")
    parser.add_argument("output", type=Path, help="a folder that is not there yet")
    options = parser.parse_args(arguments)
    if options.output.exists():
        print(f"{options.output}: is there already; name a folder that is not", file=sys.stderr)
        return 2
    try:
        add_traditional(options.model, options.output)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
