"""Policies from files: YAML in, checked models out, or one error that lists everything that is wrong.

The YAML is YAML 1.1 as kubectl reads it, with what could hide a mistake refused: a key written twice, a merge key.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import ValidationError

from clew_crds.policy import TracingPolicy
from clew_crds.problems import problems

LARGEST_FILE = 1 << 20
"""Bytes that a policy file may have; etcd takes no larger object either."""

DEEPEST_BRACKETS = 64
"""Brackets and braces that may be open at one place."""


class PolicyError(ValueError):
    """A file that holds no valid policies. ``problems`` has one line each, beginning with the file's name."""

    def __init__(self, found: list[str]) -> None:
        """Keep the lines; the message is all of them."""
        super().__init__("\n".join(found))
        self.problems = tuple(found)


def load_policies(path: Path) -> list[TracingPolicy]:
    """The policies in a YAML file of one or more documents, in order.

    Raises ``PolicyError`` with every problem found, also when the file cannot be read or holds no policy.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise PolicyError([f"{path}: cannot be read: {error.strerror}"]) from error
    if len(data) > LARGEST_FILE:
        raise PolicyError([f"{path}: is larger than {LARGEST_FILE} bytes"])
    return parse_policies(data, str(path))


def parse_policies(data: bytes | str, source: str) -> list[TracingPolicy]:
    """The policies in YAML ``data``; ``source`` begins every line of an error. Raises ``PolicyError``."""
    documents = _documents(data, source)
    if not documents:
        raise PolicyError([f"{source}: holds no policy"])
    found: list[str] = []
    policies: list[TracingPolicy] = []
    for number, document in enumerate(documents, 1):
        where = source if len(documents) == 1 else f"{source}, document {number}"
        try:
            policy = TracingPolicy.model_validate(document)
        except ValidationError as error:
            found += [f"{where}: {problem}" for problem in problems(TracingPolicy, error)]
            continue
        if any(other.metadata.name == policy.metadata.name for other in policies):
            found.append(f'{where}: metadata.name: "{policy.metadata.name}" is not allowed: each policy once in a file')
        policies.append(policy)
    if found:
        raise PolicyError(found)
    return policies


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, refusing duplicate keys (it would silently keep the last) and merge keys.

    It also refuses deep brackets at once: PyYAML's scanner takes quadratic time for them. And it reads two things as kubectl does and
    PyYAML does not: a plain ``n`` or ``y`` is a boolean, and ``12e4`` (a commit, perhaps) a number.
    """

    bool_values: ClassVar = yaml.SafeLoader.bool_values | {"y": True, "n": False}

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        """As the parent's, for every opening bracket, up to the limit."""
        if self.flow_level >= DEEPEST_BRACKETS:
            problem = f"lists and objects are nested more than {DEEPEST_BRACKETS} deep"
            raise yaml.scanner.ScannerError(None, None, problem, self.get_mark())
        super().fetch_flow_collection_start(token)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """As the parent's, after a look at the keys."""
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, 'the merge key "<<" is not allowed', key.start_mark)
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if not isinstance(name, str) or key.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(None, None, f'the field name "{name}" is no string', key.start_mark)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f'the field "{name}" stands here twice', key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile("^[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789"))


def _documents(data: bytes | str, source: str) -> list[Any]:
    try:
        return [document for document in yaml.load_all(data, _StrictLoader) if document is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        raise PolicyError([f"{source}{line}: {error.problem or error.context}"]) from error
    except (yaml.YAMLError, UnicodeError, ValueError) as error:
        raise PolicyError([f"{source}: is no YAML: {' '.join(str(error).split())}"]) from error
    except RecursionError as error:
        raise PolicyError([f"{source}: is nested too deeply"]) from error
