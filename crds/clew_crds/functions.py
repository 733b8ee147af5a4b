"""The kernel functions of a policy, their arguments, and the rules between these fields.

Whether a function exists, and which arguments it has, is known only on a node; here stands what can be said without one.
"""

from __future__ import annotations

import enum
from collections import Counter
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from clew_crds.base import Bool, Model, Text, Whole
from clew_crds.rules import Rule, refuse
from clew_crds.values import DURATION_PATTERN, parse_duration

_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
_HOUR = 3600 * 10**9
_INDEX_MAX = 11


def _at_most_an_hour(text: str) -> None:
    if parse_duration(text) > _HOUR:
        raise ValueError(text)


FunctionName = Annotated[
    str, Text(r"^[A-Za-z_][A-Za-z0-9_.]*$", 127, 'the name of a kernel function, such as "tcp_sendmsg" (see /proc/kallsyms)')
]
SetName = Annotated[str, Text(r"^[a-z][a-z0-9-]*$", 63, 'the name of a set of the catalogue, such as "network"')]
ArgumentName = Annotated[str, Text(f"^{_IDENTIFIER}$", 63, 'the name of a parameter in the kernel\'s source, such as "size"')]
FieldPath = Annotated[
    str, Text(rf"^{_IDENTIFIER}(\.{_IDENTIFIER})*$", 255, 'a path through the argument\'s structure, such as "__sk_common.skc_dport"')
]
OutputName = Annotated[
    str, Text(r"^[a-z][a-z0-9_.]*$", 63, 'a name for the span\'s attribute: lower-case letters, digits, "_" and ".", such as "port"')
]
ShortDuration = Annotated[
    str,
    Text(
        DURATION_PATTERN,
        32,
        'a duration up to one hour, such as "50us", "1.5ms" or "2s"',
        _at_most_an_hour,
        cel="duration(self) <= duration('1h')",
    ),
]


class Attribution(enum.StrEnum):
    """How a call finds the request that it works for."""

    THREAD = "Thread"
    SOCKET = "Socket"


class ArgumentType(enum.StrEnum):
    """How an argument is read. Where none is stated, the type in the kernel's BTF decides."""

    INTEGER = "Integer"
    STRING = "String"
    USER_STRING = "UserString"


_NAME_OR_INDEX = Rule("!has(self.name) || !has(self.index)", "name or index, not both", "index")
_NAMED = Rule("has(self.name) || has(self.index)", "an argument with a name or an index")


class Argument(Model):
    """One argument of a kernel function that spans shall carry."""

    RULES: ClassVar = (_NAME_OR_INDEX, _NAMED)

    name: ArgumentName | None = None
    """The parameter's name in the kernel's source. Either this or index."""
    index: Annotated[int, Whole(0, _INDEX_MAX)] | None = None
    """The parameter's position, counted from 0. Either this or name."""
    field: FieldPath | None = None
    """A member to read in the structure that the argument points to, with dots between the levels."""
    as_: Annotated[OutputName | None, Field(alias="as")] = None
    """The attribute's name: clew.function.argument.<as>. By default the last part of field, else name, else arg<index>."""
    type: ArgumentType | None = None
    """How it is read: Integer, String (in kernel memory) or UserString (in the process's). By default as its type in BTF says."""

    @model_validator(mode="after")
    def _one_way_to_name_it(self) -> Argument:
        if self.name is not None and self.index is not None:
            refuse([_NAME_OR_INDEX.refusal(self.index)])
        if self.name is None and self.index is None:
            refuse([_NAMED.refusal(dict.fromkeys(self.model_fields_set))])
        return self

    @property
    def output(self) -> str:
        """The last part of the span attribute's name."""
        if self.as_ is not None:
            return self.as_
        if self.field is not None:
            return self.field.rsplit(".", 1)[-1]
        return self.name if self.name is not None else f"arg{self.index}"


def _output(argument: str) -> str:
    """``Argument.output`` in CEL, of the variable ``argument``."""
    last = f"{argument}.field.substring({argument}.field.lastIndexOf('.') + 1)"
    # The API server must know how long the name may get; of a number turned into text it does not.
    numbered = "".join(f"{argument}.index == {index} ? 'arg{index}' : " for index in range(_INDEX_MAX + 1))
    named = f"has({argument}.name) ? {argument}.name : !has({argument}.index) ? '' : {numbered}''"
    return f"(has({argument}.__as__) ? {argument}.__as__ : has({argument}.field) ? {last} : {named})"


_SET_OR_FUNCTION = Rule("!has(self.set) || !has(self.__function__)", "set or function, not both", "function")
_SOMETHING = Rule("has(self.set) || has(self.__function__)", "an entry with a set or a function")
_BESIDE_A_SET = tuple(
    Rule(f"!has(self.set) || !has(self.{field}) || {unsaid}", "nothing here beside a set, which says it for each of its functions", field)
    for field, unsaid in {
        "arguments": "size(self.arguments) == 0",
        "returns": "!self.returns",
        "attribution": f"self.attribution == '{Attribution.THREAD}'",
    }.items()
)
_DIFFERENT_OUTPUTS = Rule(
    f"!has(self.arguments) || self.arguments.all(a, self.arguments.exists_one(b, {_output('a')} == {_output('b')}))",
    'arguments with different names; give one of them another by "as"',
    "arguments",
)


class KernelFunction(Model):
    """One kernel function to record inside requests, or a named set of them."""

    RULES: ClassVar = (_SET_OR_FUNCTION, _SOMETHING, *_BESIDE_A_SET, _DIFFERENT_OUTPUTS)

    set: SetName | None = None
    """A set of the catalogue: all of its functions, as the catalogue describes them. Either this or function."""
    function: FunctionName | None = None
    """The name of one kernel function. Either this or set."""
    arguments: Annotated[tuple[Argument, ...], Field(max_length=8)] = ()
    """The arguments that spans carry."""
    returns: Bool = False
    """Whether spans carry the return value."""
    minimum_duration: ShortDuration = "0s"
    """Shorter calls are not recorded. With a set: none of the set's functions."""
    attribution: Attribution = Attribution.THREAD
    """How a call finds its request: by the Thread that makes it, or by the Socket it works on, where the work runs in another context."""

    @model_validator(mode="after")
    def _set_or_function(self) -> KernelFunction:
        if self.set is not None and self.function is not None:
            refuse([_SET_OR_FUNCTION.refusal(self.function)])
        if self.set is None and self.function is None:
            refuse([_SOMETHING.refusal(dict.fromkeys(self.model_fields_set))])
        if self.set is not None:
            said = ((rule, getattr(self, rule.field)) for rule in _BESIDE_A_SET)
            refuse([rule.refusal(value) for rule, value in said if value != KernelFunction.model_fields[rule.field].default])
        counts = Counter(argument.output for argument in self.arguments)
        refuse(
            [
                _DIFFERENT_OUTPUTS.refusal(argument.output, "arguments", number)
                for number, argument in enumerate(self.arguments)
                if counts[argument.output] > 1
            ][1:]
        )
        return self

    @property
    def minimum_duration_ns(self) -> int:
        """``minimumDuration`` in nanoseconds."""
        return parse_duration(self.minimum_duration)
