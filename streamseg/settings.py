"""Sections of settings: typed, frozen, read from YAML with complaints that name file, key and value."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from streamseg.errors import ConfigError, did_you_mean

__all__ = ["Section", "load_section", "size_hw_from_text", "text_with_values"]


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 160


class Section(BaseModel):
    """Part of a settings file: unknown keys are refused, the text under a field documents it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


SectionT = TypeVar("SectionT", bound=Section)
MOST_BYTES = 256 * 1024
"""Of a settings file; a thousand cameras with zones need half of it."""


def load_section(
    section: type[SectionT], path: str | None = None, overrides: Mapping[str, Any] | None = None
) -> SectionT:
    """Defaults, then the YAML file at `path`, then `overrides` (nested like the file).

    Raises ConfigError, one line naming file, key and value.
    """
    merged = _merge(_read_yaml(path) if path is not None else {}, overrides or {})
    try:
        return section.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_first_complaint(error, path, section)) from error


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


class _Loader(yaml.SafeLoader):
    """Plain data, every key once, no aliases: nine lines of them can stand for a billion entries."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _mistake("an alias (*name), which configurations do not have; write it out", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise _mistake(f"key {key.value!r} stands twice", key)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _mistake(problem: str, at: yaml.Event | yaml.Node) -> yaml.MarkedYAMLError:
    mark: Any = at.start_mark
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _read_yaml(path: str) -> dict[str, Any]:
    if not path:
        raise ConfigError("the name of the configuration is empty; is a variable of a script not set?")
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error}") from error
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{path}: longer than {MOST_BYTES // 1024} KiB: not a configuration")
    try:
        data = yaml.load(text, _Loader)
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deep for a configuration") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: not valid YAML: {getattr(error, 'problem', error)}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values, found a {type(data).__name__}")
    return data


def _first_complaint(error: ValidationError, path: str | None, root: type[BaseModel]) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    prefix = f"{path}: " if path else ""
    if first["type"] == "extra_forbidden":
        *parents, key = (str(part) for part in first["loc"])
        known = list(_section(root, parents).model_fields)
        hint = did_you_mean(key, known)
        aside = f" ({hint})" if hint else ""
        return f"{prefix}unknown key {where!r}{aside}; known here: {', '.join(known)}"
    if first["type"] == "value_error":  # our own sentence, which says all
        return f"{prefix}{where}{': ' if where else ''}{first['ctx']['error']}"
    return f"{prefix}{where}: {first['msg'].lower()}, got {_SHORT.repr(first['input'])}"


def _section(root: type[BaseModel], parents: list[str]) -> type[BaseModel]:
    model, names = root, iter(parents)
    for name in names:
        annotation = model.model_fields[name].annotation
        if get_origin(annotation) is dict:
            next(names, None)  # the entry's own name
        candidates = [annotation, *get_args(annotation)] if get_origin(annotation) else [annotation]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return model


def size_hw_from_text(key: str, text: str) -> tuple[int, int]:
    """Height and width in pixels of `HxW`, which `key` was given as. Raises ConfigError."""
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    if match is None:
        raise ConfigError(f"{key} {text}: expected HEIGHTxWIDTH in pixels, such as 550x550")
    return int(match[1]), int(match[2])


def text_with_values(text: str, values: Mapping[str, Any]) -> str:
    """A settings file with other values of top-level keys, and everything else, comments included, as it is
    written. Raises ValueError for a file that is written in a way that this cannot change."""
    try:
        for key, value in values.items():
            text = _with_value(text, key, value)
        said = yaml.load(text, _Loader) or {}
    except yaml.YAMLError as error:
        raise ValueError("it is not valid YAML") from error
    if any(_listed(said.get(key)) != _listed(value) for key, value in values.items()):
        raise ValueError("it is written in an unusual way")
    return text


def _listed(value: Any) -> Any:
    """One name may stand for a list of one, a number for a name."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        value = [value]
    return [str(one) for one in value] if isinstance(value, list | tuple) else value


def _with_value(text: str, key: str, value: Any) -> str:
    root = yaml.compose(text, _Loader)
    if isinstance(root, yaml.MappingNode):
        if root.flow_style:
            raise ValueError("it is written in braces")
        for name, node in root.value:
            if name.value == key:
                return _replaced(text, node, value)
    separator = "" if not text or text.endswith("\n") else "\n"
    return text if value is None else f"{text}{separator}{key}: {_inline(value)}\n"


def _replaced(text: str, node: yaml.Node, value: Any) -> str:
    end: int = node.end_mark.index
    if isinstance(node, yaml.SequenceNode) and not node.flow_style:
        if value:
            return _with_items(text, node, value)
        end = node.value[-1].end_mark.index  # a block's own end is where the next key begins
        return text[: node.start_mark.index] + "  " + _inline(value) + text[end:]
    return text[: node.start_mark.index] + _inline(value) + text[end:]


def _with_items(text: str, node: yaml.SequenceNode, wanted: Sequence[Any]) -> str:
    """A list of one item a line: the lines of items that are not wanted go, new ones come at the end."""
    lines = text.splitlines(keepends=True)
    left = [str(one) for one in wanted]
    gone: set[int] = set()
    last = node.value[-1].end_mark.line
    for item in node.value:
        if isinstance(item, yaml.ScalarNode) and item.value in left:
            left.remove(item.value)
        else:
            gone.update(range(item.start_mark.line, item.end_mark.line + 1))
    if not lines[last].endswith("\n"):
        lines[last] += "\n"
    indent = " " * node.start_mark.column
    kept = [line for number, line in enumerate(lines[: last + 1]) if number not in gone]
    return "".join([*kept, *(f"{indent}- {_inline(one)}\n" for one in left), *lines[last + 1 :]])


def _inline(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
