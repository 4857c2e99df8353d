"""A run's configuration: a TOML file, read into a dataclass that refuses nonsense before anything is loaded.

Any key can be set on the command line as ``key=value`` (a TOML value; what is not one is taken as a string):

    python -m training.train configs/default.toml seed=1 output=runs/seed-1
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, cast

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["ConfigError", "format_config", "load_config", "main_config"]


class _Checked(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def problems(self) -> Iterator[str]:
        """What is wrong between or within the values, each sentence beginning with its key."""


Config = TypeVar("Config", bound=_Checked)


class ConfigError(ValueError):
    """All problems of one configuration, a line each, with the file and the key as the user wrote it."""


def load_config(
    kind: type[Config], path: Path, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None
) -> Config:
    """Read `path`, put `values` over it and ``key=value`` overrides over those, check.

    Raises `ConfigError` with every problem found, or `OSError`.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")) | dict(values or {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error
    problems = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if equals:
            found[key] = _parse_value(text)
        else:
            problems.append(f"{path}: {override}: an override is written key=value, such as seed=1")
    config, wrong = _parse(kind, found, "")
    problems += [f"{path}: {problem}" for problem in wrong]
    if config is None or problems:
        raise ConfigError("\n".join(problems))
    return config


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _parse(kind: type[Config], values: dict[str, Any], prefix: str) -> tuple[Config | None, list[str]]:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    problems = [
        f"{prefix}{key}: unknown key; known keys are {', '.join(fields)}" for key in values if key not in fields
    ]
    problems += [
        f"{prefix}{name}: is missing, and has no default"
        for name, f in fields.items()
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    accepted: dict[str, Any] = {}
    for key, value in values.items():
        if key in fields:
            accepted[key], found = _convert(hints[key], value, prefix + key)
            problems += found
    if problems:
        return None, problems
    config = kind(**accepted)
    problems = [prefix + problem for problem in config.problems()]
    return (None if problems else config), problems


def _convert(hint: Any, value: Any, key: str) -> tuple[Any, list[str]]:
    """The value as the field wants it, and what is wrong with it."""
    if hint is Any:
        return value, []
    expected, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if expected is float and type(value) is int:
        return float(value), []
    if expected is tuple and isinstance(value, list):
        pairs = [_convert(arguments[0], item, f"{key}[{index}]") for index, item in enumerate(value)]
        return tuple(item for item, _ in pairs), [problem for _, found in pairs for problem in found]
    if expected is dict and isinstance(value, dict):
        pairs = [_convert(arguments[1], item, f"{key}.{name}") for name, item in value.items()]
        return dict(zip(value, (item for item, _ in pairs), strict=True)), [p for _, found in pairs for p in found]
    if dataclasses.is_dataclass(expected) and isinstance(value, dict):
        return _parse(cast(Any, expected), value, f"{key}.")
    if isinstance(value, expected) and (expected is bool or not isinstance(value, bool)):
        return value, []
    name = {tuple: "list", dict: "table"}.get(
        expected, "table" if dataclasses.is_dataclass(expected) else expected.__name__
    )
    return None, [f"{key}: {value!r} is a {type(value).__name__}; expected a {name}"]


def format_config(config: Any) -> str:
    """The whole configuration as TOML that `load_config` reads back; written beside every run's results."""
    lines, tables = [], []
    for key, value in dataclasses.asdict(config).items():
        if isinstance(value, dict):
            tables += [
                "",
                f"[{key}]",
                *(f"{json.dumps(k, ensure_ascii=False)} = {_format(v)}" for k, v in value.items()),
            ]
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
            for item in value:
                tables += ["", f"[[{key}]]", *(f"{k} = {_format(v)}" for k, v in item.items())]
        else:
            lines.append(f"{key} = {_format(value)}")
    return "\n".join(lines + tables) + "\n"


def _format(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_format, value))}]"
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def main_config(kind: type[Config], description: str | None, arguments: Sequence[str] | None = None) -> Config:
    """The configuration that the command line names; on a problem, prints it and exits with status 2."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a TOML file, such as those in configs/")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="set any key of the file")
    options = parser.parse_args(arguments)
    try:
        return load_config(kind, options.config, options.overrides)
    except (ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error
