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

__all__ = ["Keys", "Section", "checked", "load_section", "size_hw_from_text", "text_with_values"]


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
    return checked(section, _merge(_read_yaml(path) if path is not None else {}, overrides or {}), path)


def checked(section: type[SectionT], values: Mapping[str, Any], path: str | None = None) -> SectionT:
    """A section of these values, from the file at `path` if any. Raises ConfigError as `load_section`."""
    try:
        return section.model_validate(values)
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


Keys = tuple[str, ...]
"""Keys from the top of a settings file down to a value."""


def text_with_values(text: str, values: Mapping[Keys, Any]) -> str:
    """A settings file with other values at these paths, and everything else, comments included, as it is
    written. None takes out what is below the top level. Raises ValueError for a file that is written in a way
    that this cannot change."""
    try:
        expected = yaml.load(text, _Loader) or {}
        for path, value in values.items():
            text = _with_value(text, path, value)
            _put(expected, path, value)
        said = yaml.load(text, _Loader) or {}
    except yaml.YAMLError as error:
        raise ValueError("it is not valid YAML") from error
    if any(_listed(_at(said, path)) != _listed(_at(expected, path)) for path in values):
        raise ValueError("it is written in an unusual way")
    return text


def _put(data: dict[str, Any], path: Keys, value: Any) -> None:
    *parents, key = path
    for name in parents:
        if not isinstance(data.get(name), dict):
            data[name] = {}
        data = data[name]
    if value is None and parents:
        data.pop(key, None)
    else:
        data[key] = value


def _at(data: Any, path: Keys) -> Any:
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _listed(value: Any) -> Any:
    """One name may stand for a list of one, a number for a name."""
    if isinstance(value, dict):
        return {key: _listed(one) for key, one in value.items()}
    if isinstance(value, str | int) and not isinstance(value, bool):
        value = [value]
    return [str(one) for one in value] if isinstance(value, list | tuple) else value


def _with_value(text: str, path: Keys, value: Any) -> str:
    root = yaml.compose(text, _Loader)
    if root is None:
        return text if value is None else _with_entry(text, None, path, value)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise ValueError("it is written in braces")
    mapping = root
    for depth, key in enumerate(path):
        found = next((pair for pair in mapping.value if pair[0].value == key), None)
        if found is None:
            return text if value is None else _with_entry(text, mapping, path[depth:], value)
        below = path[depth + 1 :]
        if not below:
            gone = value is None and depth > 0
            return _without_entry(text, mapping, found) if gone else _replaced(text, found[1], value)
        node = found[1]
        if not isinstance(node, yaml.MappingNode) or node.flow_style:
            return _with_braces(text, node, below, value)
        mapping = node
    return text


def _with_entry(text: str, mapping: yaml.MappingNode | None, path: Keys, value: Any) -> str:
    """With a line more behind the last one of a mapping in lines, or of an empty file."""
    lines = text.splitlines(keepends=True)
    column = mapping.start_mark.column if mapping else 0
    # What is new in the whole file comes at its end, behind the comments there.
    after = _last_line(mapping) + 1 if mapping and column else len(lines)
    if lines and not lines[after - 1].endswith("\n"):
        lines[after - 1] += "\n"
    new = [f"{' ' * (column + 2 * depth)}{_key(key)}:\n" for depth, key in enumerate(path)]
    new[-1] = f"{new[-1][:-1]} {_inline(value)}\n"
    return "".join([*lines[:after], *new, *lines[after:]])


def _without_entry(text: str, mapping: yaml.MappingNode, pair: tuple[yaml.Node, yaml.Node]) -> str:
    if len(mapping.value) == 1:
        return _replaced(text, mapping, {})
    lines = text.splitlines(keepends=True)
    del lines[pair[0].start_mark.line : _last_line(pair[1]) + 1]
    return "".join(lines)


def _with_braces(text: str, node: yaml.Node, path: Keys, value: Any) -> str:
    """In a mapping written in braces, or where nothing is written yet."""
    if "#" in text[node.start_mark.index : node.end_mark.index]:
        raise ValueError("it has comments within braces")
    data = yaml.load(text[node.start_mark.index : node.end_mark.index], _Loader) or {}
    if not isinstance(data, dict):
        raise ValueError("it has no mapping where one belongs")
    _put(data, path, value)
    space = " " if node.start_mark.index == node.end_mark.index else ""
    return text[: node.start_mark.index] + space + _inline(data) + text[node.end_mark.index :]


def _last_line(node: yaml.Node) -> int:
    """A block's own end is where the next key begins: the end of the last thing in it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    line: int = node.end_mark.line
    return line


def _replaced(text: str, node: yaml.Node, value: Any) -> str:
    end: int = node.end_mark.index
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        if isinstance(node, yaml.SequenceNode) and value:
            return _with_items(text, node, value)
        lines = text.splitlines(keepends=True)
        end = sum(map(len, lines[: _last_line(node) + 1]))
        lead = "  " if isinstance(node, yaml.SequenceNode) else ""
        return text[: node.start_mark.index] + lead + _inline(value) + "\n" + text[end:]
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


def _key(name: str) -> str:
    """As YAML reads it again."""
    plain = re.fullmatch(r"[A-Za-z_][\w -]*\w|[A-Za-z_]", name)
    return name if plain and yaml.load(name, _Loader) == name else _inline(name)
