"""Runs that are kept in a folder: which values one was begun with, and its result, which is whole or not there.

A command of many runs can so be killed and given again: what is finished is read, what is begun goes on, and what was
begun with other values is not taken for the same. Several processes can share the runs out: one that a process has
claimed is left to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from training.config import ConfigError, format_config, load_config

__all__ = ["RunError", "begin", "claimed", "finish", "finished", "locked", "write_json"]

_ELSEWHERE = ("output", "data_root")  # a folder may move


class RunError(ValueError):
    """A run that cannot be gone on with; the message says what to do."""


@contextmanager
def claimed(config: Any) -> Iterator[bool]:
    """Make the run's folder and have it for this process alone meanwhile, if it is free: whether it was. The lock is the
    system's: it goes with the process, however that ends."""
    try:
        lock = _lock(Path(config.output), timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder and have it for this process alone meanwhile; waits for that."""
    lock = _lock(folder, timeout=-1)
    try:
        yield
    finally:
        lock.release()


def _lock(folder: Path, timeout: float) -> Any:
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.absolute()  # "." has no name
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))  # beside it: what is in the folder is the run's alone
    lock.acquire(timeout=timeout)
    return lock


def finished(config: Any) -> dict[str, Any] | None:
    """The result of the run in ``config.output``, if it is finished. Raises `RunError` where other values were run there."""
    output = Path(config.output)
    if (output / "config.toml").exists():
        _check_same(config, output / "config.toml")
    result = output / "result.json"
    return json.loads(result.read_text(encoding="utf-8")) if result.exists() else None


def begin(config: Any) -> Path:
    """Make the run's folder, with its configuration."""
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "config.toml").write_text(format_config(config), encoding="utf-8")
    return output


def finish(config: Any, result: dict[str, Any]) -> None:
    """Keep the result."""
    write_json(Path(config.output) / "result.json", result)


def write_json(path: Path, value: Any) -> None:
    """The whole file or none, whenever the process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def _check_same(config: Any, path: Path) -> None:
    try:
        before = asdict(load_config(type(config), path))
    except ConfigError as error:
        raise RunError(f"{error}\n{path.parent}: is not a run of this command; remove it, or set output=") from error
    now = asdict(config)
    other = [key for key in now if now[key] != before[key] and key not in _ELSEWHERE]
    if other:
        changes = ", ".join(f"{key} {before[key]!r}, now {now[key]!r}" for key in other)
        raise RunError(f"{path.parent}: was begun with other values ({changes}); remove it, or set output=")
