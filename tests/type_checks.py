"""Types are checked by beartype, and shapes by jaxtyping where a function has some.

jaxtyping's hook (pyproject.toml) takes every function of the package, binds its arguments at each
call, and checks them twice: two thirds of the time of many tests. Only one function in ten has
shapes, and few calls of a test differ from its first hundred. The other functions get the same
checks of types from beartype alone. A function within a function is made anew at each call, which
would compile its checks anew: mypy alone checks those.
"""

import functools
import inspect
import typing
from collections import Counter
from collections.abc import Callable
from typing import Any

import jaxtyping

MOST_CALLS = 100
"""Calls of a function whose shapes are checked in a test. Types are checked in them too."""
calls: Counter[Callable[..., Any]] = Counter()
_with_shapes = jaxtyping.jaxtyped


def has_shapes(annotation: Any) -> bool:
    """Return whether an annotation speaks of a shape. One that is a text may do."""
    if inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return isinstance(annotation, str) or any(map(has_shapes, typing.get_args(annotation)))


def checked(function: Any = None, *, typechecker: Callable[[Any], Any]) -> Any:
    """Take the place of ``jaxtyping.jaxtyped``."""
    if function is None:
        return functools.partial(checked, typechecker=typechecker)
    if "<locals>" in function.__qualname__:
        return function
    if not inspect.isclass(function):
        return _checked(function, typechecker)
    if "__init__" in vars(function) and "__dataclass_fields__" in vars(function):
        function.__init__ = _checked(function.__init__, typechecker)
    return function


def _checked(function: Any, typechecker: Callable[[Any], Any]) -> Any:
    if not any(map(has_shapes, getattr(function, "__annotations__", {}).values())):
        return typechecker(function)
    with_shapes = _with_shapes(function, typechecker=typechecker)

    @functools.wraps(function)
    def at_first(*args: Any, **kwargs: Any) -> Any:
        calls[function] += 1
        return (with_shapes if calls[function] <= MOST_CALLS else function)(*args, **kwargs)

    return at_first


jaxtyping.jaxtyped = checked
