"""Plugins: packages outside attnscope that add corrections, metrics, model families and importers.

A package names a module of its own under the entry-point group `attnscope.plugins`; importing it registers what it
adds. A name such as `module:function` is called without arguments. Plugins are loaded once in a process, when a
registry is asked for its list or for a name that it does not know: `import attnscope` loads none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, MutableMapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import ismodule
from threading import RLock
from typing import Any, TypeVar

GROUP = "attnscope.plugins"
T = TypeVar("T")

logger = logging.getLogger(__name__)
_lock = RLock()
_registries: list[Registry[Any]] = []
_is_loaded = False


class Registry(MutableMapping[str, T]):
    """Things by name, of attnscope itself and of plugins.

    Attributes:
        kind: What it holds, as messages say it.
        attributes: What each thing must have.
    """

    def __init__(self, kind: str, *attributes: str) -> None:
        self.kind, self.attributes = kind, attributes
        self._things: dict[str, T] = {}
        self._modules: dict[str, str] = {}
        _registries.append(self)

    def add(self, name: str, thing: T, module: str) -> None:
        """Register a thing that a module defines; a class takes the place of itself, as when a notebook runs again.

        Raises:
            TypeError: If it lacks an attribute.
            ValueError: If the name is taken.
        """
        for attribute in self.attributes:
            if not hasattr(thing, attribute):
                raise TypeError(f"{self.kind} '{name}' has no `{attribute}`")
        if name in self._things and not (isinstance(thing, type) and _is_same(self._things[name], thing)):
            raise ValueError(f"{self.kind} '{name}' is defined twice")
        self._things[name], self._modules[name] = thing, module

    def plugin(self, name: str) -> str:
        """The distribution that added a thing, "" for attnscope itself and for code that is no plugin."""
        return distribution(self._modules.get(name, ""))

    def known(self) -> list[T]:
        """All things at this point, without a look for plugins."""
        return list(self._things.values())

    def copy(self) -> Registry[T]:
        """Another registry with the same things."""
        registry: Registry[T] = Registry(self.kind, *self.attributes)
        registry._things, registry._modules = dict(self._things), dict(self._modules)
        return registry

    def remove_package(self, package: str) -> None:
        """Forget what the modules of a package added."""
        for name in [name for name, module in self._modules.items() if _package(module) == package]:
            del self[name]

    def __getitem__(self, name: str) -> T:
        if name not in self._things:
            load()
        return self._things[name]

    def __setitem__(self, name: str, thing: T) -> None:
        self._things[name] = thing

    def __delitem__(self, name: str) -> None:
        del self._things[name]
        self._modules.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        load()
        return iter(list(self._things))

    def __len__(self) -> int:
        load()
        return len(self._things)


def are_installed() -> bool:
    """Whether there is any plugin."""
    return bool(_entries())


def load() -> None:
    """Load every plugin, once in a process; one that fails adds nothing, and a warning says why."""
    global _is_loaded
    with _lock:
        if _is_loaded:
            return
        _is_loaded = True  # before the plugins, which may ask a registry themselves
        for entry in _entries():
            try:
                thing = entry.load()
                if not ismodule(thing):
                    thing()
            except (Exception, SystemExit) as error:
                for registry in _registries:
                    registry.remove_package(_package(entry.module))
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                logger.warning("the plugin %s adds nothing: %s", _distribution(entry), reason)


def distribution(module: str) -> str:
    """The distribution whose plugin a module belongs to, "" if it belongs to none."""
    package = _package(module)
    if package in ("attnscope", ""):
        return ""
    return next((_distribution(entry) for entry in _entries() if _package(entry.module) == package), "")


@cache
def _entries() -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=GROUP), key=lambda entry: (_distribution(entry), entry.name)))


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.name


def _package(module: str) -> str:
    return module.partition(".")[0]


def _is_same(old: object, new: type) -> bool:
    return isinstance(old, type) and (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)
