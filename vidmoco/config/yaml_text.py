"""YAML that a stranger may have written: strict, and bounded in size, depth and length."""

from typing import Any

import yaml

from vidmoco.errors import ConfigError
from vidmoco.text import reason_of

# Of a recipe or an ablation. A config has 5,000 bytes and a depth of 3.
MAX_BYTES = 2**20
_MAX_DEPTH, _MAX_TEXT = 16, 4096


def read_yaml(text: str, *, source: str) -> Any:
    """Return what YAML ``text`` holds. A key that is given twice is an error, which names source.

    Raises:
        ConfigError: it is not valid YAML.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        reason = reason_of(error)
        raise ConfigError(f"{source} is not valid YAML: {reason}") from error


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key that is given twice, aliases, and depth.

    Aliases of aliases multiply without end ("billion laughs"), and no setting needs one.
    """

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError(
                f"it has the alias *{self.peek_event().anchor}; write the value itself"  # type: ignore[no-untyped-call]
            )
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode):
            most = _MAX_TEXT if node.tag == "tag:yaml.org,2002:str" else 100
            if len(node.value) > most:
                raise ValueError(f"it has a value of more than {most:,} characters")
        return node


def _strict_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise ValueError(f"the key {key!r} is not text")
        if key in mapping:
            raise ValueError(f"the key {key!r} is given twice")
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _strict_mapping)
