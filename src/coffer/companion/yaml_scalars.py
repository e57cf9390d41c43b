"""Values in a YAML file: one mapping of names to scalars.

YAML 1.1 and 1.2 disagree on what ``no``, ``010`` and ``1:30`` are, and so do its readers. Such a value is refused, to
be quoted if it is text; so is every tag. The text is only cut into nodes by PyYAML, and never built into objects.
"""

from __future__ import annotations

import re

import tomli

from coffer.companion.collected import Collected
from coffer.errors import SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coffer.shard import Value

_TAG = "tag:yaml.org,2002:"
_is_number = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?)?").fullmatch
_is_number_somewhere = re.compile(
    r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?\.(?:inf|Inf|INF)"
).fullmatch
_DOUBTFUL_NUMBER = "a number to some readers of YAML, and another or text to others"
_DOUBTFUL_BOOLEAN = "a boolean to some readers of YAML, and text to others"
_TAGGED = "a tag that coffer does not know"


def parse_yaml(text: str, source: str) -> dict[str, Value]:
    """Return the values. Raises DefinitionError, and SettingsError without PyYAML."""
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise SettingsError("YAML is read with PyYAML, which is missing", "pip install 'coffer[yaml]'") from None
    collected = Collected(source)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        collected.refuse("not one YAML document", line=mark.line + 1 if mark else None)
        return collected.finish()
    if not isinstance(root, yaml.MappingNode):
        collected.refuse("not one YAML mapping of names and values")
        return collected.finish()
    for key, value in root.value:
        _add(collected, key, value)
    return collected.finish()


def _add(collected: Collected, key: Any, node: Any) -> None:
    line = node.start_mark.line + 1
    if key.id != "scalar":
        collected.refuse("a name that is no scalar", line=line)
    elif node.id != "scalar":
        collected.refuse(f"a {node.id} is not a value", key=key.value, line=line)
    else:
        value, doubt = _read(node.tag.removeprefix(_TAG), node.value, plain=node.style is None)
        if doubt:
            collected.refuse(doubt, key=key.value, line=line, hint="quote it if it is text")
        else:
            collected.add(key.value, value, line)


def _read(tag: str, text: str, *, plain: bool) -> tuple[Value | None, str | None]:
    """Return a scalar's value, or why readers of YAML may not agree on it."""
    if tag == "str":
        return text, _DOUBTFUL_NUMBER if plain and _is_number_somewhere(text) else None
    if tag == "null":
        return None, None
    if tag == "bool":
        return text.lower() == "true", None if text.lower() in ("true", "false") else _DOUBTFUL_BOOLEAN
    if tag in ("int", "float") and _is_number(text):
        return (int if tag == "int" else float)(text), None
    return (
        _read_moment(text) if tag == "timestamp" else (None, _DOUBTFUL_NUMBER if tag in ("int", "float") else _TAGGED)
    )


def _read_moment(text: str) -> tuple[Value | None, str | None]:
    try:
        return tomli.loads(f"moment = {text}")["moment"], None
    except ValueError:
        return None, "a date that readers of YAML may take for text"
