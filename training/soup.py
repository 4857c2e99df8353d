"""One model whose weights are the mean of several fine-tunings' that began from the same one ("model soups").

    python -m training.soup OUTPUT MODEL MODEL …

Runs that differ in their seed, their data's order or their augmentation, and began from one fine-tuned model, end in one
basin: the mean of their weights is a model, as good as the ensemble of them and as fast as one (Wortsman et al. 2022,
arXiv:2203.05482). So do a model and what it became in a fine-tuning (Wortsman et al. 2022, arXiv:2109.01903). Where they
began from different models it is none. It has no calibration of its own: next, `python -m training.calibrate OUTPUT DEV`.
Status 2 where the models are not of one kind.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from renshi.model import TOKENIZER_FILES, ExtractorError, read_config
from training import models

__all__ = ["main", "mean_weights"]


def mean_weights(folders: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The mean of the folders' weights, made in float32, in the dtype that the first has.

    Raises:
        ValueError: One has other tensors, or a tensor of another shape, than the first.
    """
    first = load_file(folders[0] / "model.safetensors")
    total = {name: weight.float() for name, weight in first.items()}
    for folder in folders[1:]:
        weights = load_file(folder / "model.safetensors")
        for name in sorted(total.keys() | weights.keys()):
            shapes = [tuple(found[name].shape) if name in found else None for found in (total, weights)]
            if shapes[0] != shapes[1]:
                raise ValueError(f"{folder}: {name} has the shape {shapes[1]}, in {folders[0]} {shapes[0]}")
            total[name] += weights[name].float()
    return {name: (weight / len(folders)).to(first[name].dtype) for name, weight in total.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the folder to be made")
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="folders, Hub ids, or default (the model in the package): two at least",
    )
    options = parser.parse_args(arguments)
    try:
        if len(options.models) < 2:
            raise ValueError(f"{options.models[0]}: one model is no soup; give two or more, of runs from one start")
        if options.output.exists():
            raise ValueError(f"{options.output}: exists already; name a new folder")
        folders = [models.find(name) for name in options.models]
        for folder in folders[1:]:
            if (folder / "tokenizer.json").read_bytes() != (folders[0] / "tokenizer.json").read_bytes():
                raise ValueError(
                    f"{folder}: its tokenizer.json is not that of {folders[0]}; only models of one can be mixed"
                )
        weights = mean_weights(folders)
        config = read_config(folders[0])
        options.output.mkdir(parents=True)
    except (ExtractorError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    save_file(weights, options.output / "model.safetensors", metadata={"format": "pt"})
    config.pop("calibration", None)
    (options.output / "config.json").write_text(
        json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    for name in TOKENIZER_FILES:
        shutil.copyfile(folders[0] / name, options.output / name)
    print(
        f"{options.output}: the mean of {len(folders)} models; next: python -m training.calibrate {options.output} DEV"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
