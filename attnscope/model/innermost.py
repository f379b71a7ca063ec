"""The transformers model inside whatever other code has put around it.

`torch.compile`, `DataParallel`, PEFT and their like hand out a module of their own, whose `forward` takes `*args` and
`**kwargs`. It hides what the model takes, and hooks on it do not see what runs. So everything here asks, hooks and runs
the model inside (docs/decisions/0016).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attnscope.errors import ModelError
from attnscope.transformers_names import unvalidated_generate

_KEYWORDS = inspect.Parameter.VAR_KEYWORD
_STATED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_MOST = 16  # wrappers around one model


def innermost(model: Any) -> Any:
    """The transformers model inside wrappers, or the model itself.

    Adapters that PEFT puts into layers (LoRA and its kin) are part of these layers, so the model inside runs with them,
    as they are switched on or off. An adapter that acts outside the layers is not, and is refused.

    Args:
        model: A transformers model, or one that is compiled, wrapped for several devices, or given an adapter.

    Raises:
        ModelError: If there is no transformers model inside, or the wrapper changes what the model computes.
    """
    from transformers import PreTrainedModel

    inner = model
    for _ in range(_MOST):
        compiled = getattr(inner, "_modules", {}).get("_orig_mod")
        if compiled is None and isinstance(inner, PreTrainedModel):
            return inner
        wrapped = compiled if compiled is not None else _inside(inner)
        if wrapped is None:
            break
        inner = wrapped
    where = "" if inner is model else f", found in {type(model).__name__},"
    raise ModelError(f"{type(inner).__name__}{where} is not a transformers model; give the one that it runs")


def _inside(wrapper: Any) -> Any:
    """What a wrapper wraps, None if it is none that is known."""
    name = type(wrapper).__name__
    if "FullyShardedDataParallel" in {kind.__name__ for kind in type(wrapper).__mro__}:
        raise ModelError(f"{name}: keeps its weights in shards, so the model inside cannot run; gather them first")
    if hasattr(wrapper, "get_base_model"):
        _refuse_outside_layers(wrapper)
        return wrapper.get_base_model()
    children = getattr(wrapper, "_modules", {})
    if "module" in children:  # DataParallel, DistributedDataParallel, DeepSpeed
        return children["module"]
    if hasattr(wrapper, "base_model"):
        return wrapper.base_model
    return children.get("model") if hasattr(wrapper, "active_adapters") else None  # a PEFT tuner by itself


def _refuse_outside_layers(wrapper: Any) -> None:
    """Refuse adapters of PEFT that act outside the layers: the model inside would run without them.

    Raises:
        ModelError: Naming the adapter and its kind.
    """
    configs = getattr(wrapper, "peft_config", {})
    active = getattr(wrapper, "active_adapters", None) or list(configs)
    for adapter in [active] if isinstance(active, str) else list(active):
        config = configs.get(adapter)
        kind = getattr(getattr(config, "peft_type", None), "value", "unknown")
        if getattr(config, "is_prompt_learning", False):
            why = "puts tokens of its own before the prompt"
        elif getattr(config, "alora_invocation_tokens", None) is not None:
            why = "is switched on by tokens of the prompt"
        elif kind == "XLORA":
            why = "runs the model twice to weigh its experts"
        else:
            continue
        raise ModelError(
            f"{type(wrapper).__name__}: adapter {adapter!r} ({kind}) {why}, outside the model's layers; attnscope reads"
            " adapters that live in layers, such as LoRA"
        )


def stated_inputs(model: Any) -> frozenset[str]:
    """Names of the inputs that a family's code states, whatever other code has put in place of its forward.

    They are those of every `forward` that the model or its core has or has had: of the class, of the instance, behind
    decorators and behind accelerate's hooks.

    Args:
        model: As `innermost` returns it.
    """
    return frozenset().union(*(_stated_by(function) for function in _forwards(model)))


def takes(model: Any, name: str) -> bool:
    """Whether the forward that would run takes an input: by its name, or among its keyword arguments."""
    parameters = _parameters(model.forward, follow=False)
    return any(p.kind == _KEYWORDS or (p.name == name and p.kind in _STATED) for p in parameters)


def forward_name(model: Any) -> str:
    """Where the forward that would run was written, for a message."""
    function = model.forward
    function = getattr(function, "func", function)  # functools.partial
    function = getattr(function, "__func__", function)
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', '?')}"


@contextmanager
def open_to(model: Any, names: frozenset[str]) -> Iterator[None]:
    """Let `generate` treat a forward that takes inputs as `**kwargs` as it treats the family's own.

    transformers reads the signature of `forward` to decide which inputs it prepares and which it refuses, and a
    function that other code put there may name none. attnscope has already held the inputs against the family's code.

    Args:
        model: As `innermost` returns it.
        names: The inputs.
    """
    hidden = names - _stated_by(model.forward)
    if not hidden or not all(takes(model, name) for name in hidden):
        yield
        return
    own, kept = model.forward, model.__dict__.get("forward")
    written = next((f for kind in type(model).__mro__ if hidden <= _stated_by(f := kind.__dict__.get("forward"))), None)
    if written is None:  # the class's own function has been replaced too
        with unvalidated_generate(model):
            yield
        return

    def forward(*args: Any, **kwargs: Any) -> Any:
        return own(*args, **kwargs)

    forward.__signature__ = inspect.signature(written.__get__(model))  # type: ignore[attr-defined]
    model.__dict__["forward"] = forward
    try:
        yield
    finally:
        del model.__dict__["forward"]
        if kept is not None:
            model.__dict__["forward"] = kept


def _stated_by(function: Callable[..., Any] | None) -> frozenset[str]:
    parameters = [] if function is None else _parameters(function)
    return frozenset(p.name for p in parameters if p.kind in _STATED) - {"self"}


def _forwards(model: Any) -> Iterator[Callable[..., Any]]:
    core = getattr(model, "base_model", model)
    for module in dict.fromkeys([model, core]):
        for function in (module.__dict__.get("forward"), module.__dict__.get("_old_forward")):
            if function is not None:
                yield function
        for kind in type(module).__mro__:
            if kind.__module__.split(".")[0] != "torch" and "forward" in kind.__dict__:
                yield kind.__dict__["forward"]


def _parameters(function: Callable[..., Any], *, follow: bool = True) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function, follow_wrapped=follow).parameters.values())
    except (TypeError, ValueError):  # of a builtin
        return []
