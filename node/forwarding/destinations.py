"""From the `kind` of a destination to what sends to it: built in, or offered by an installed plug-in.

A plug-in is offered in the entry-point group `prepnode.destinations` under the name that
`kind` uses. It is a function `(Product) -> None`, or a class whose fields are the keys of
`options` and whose instances are called so. `Product.path` is absolute. It raises
`node.errors.DeliveryError`; any other exception counts as retryable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any

from node.config import Config, Destination
from node.errors import ConfigError, DeliveryError
from node.forwarding import c_store, folder
from node.forwarding.package import Deadline, Item, Package, Sent

GROUP = "prepnode.destinations"
Sender = Callable[[Destination, Package, frozenset[str], Deadline], Iterator[Sent]]
BUILT_IN: dict[str, Sender] = {"folder": folder.send, "dicom": c_store.send}


def sender(kind: str) -> Sender:
    """Return what sends to destinations of this kind.

    Raises:
        DeliveryError: no such kind is built in or installed; the message lists those that are.
    """
    if kind in BUILT_IN:
        return BUILT_IN[kind]
    if kind not in plug_ins():
        raise DeliveryError(f"no destination of kind {kind!r}; there are: {known_kinds()}", retryable=False)
    return _send_by_plug_in


def takes(kind: str, item: Item) -> bool:
    """Say whether a destination of this kind can take a file at all."""
    return c_store.takes(item) if kind == "dicom" else True


def plug_ins() -> tuple[str, ...]:
    """Return the kinds that installed packages offer beside the built-in ones."""
    return tuple(sorted(entry_points(group=GROUP).names - BUILT_IN.keys()))


def known_kinds() -> str:
    """Return every kind there is, for a message."""
    return ", ".join(dict.fromkeys((*BUILT_IN, *plug_ins())))


def check(config: Config) -> None:
    """Check before anything starts that every destination is of a kind there is.

    Raises:
        ConfigError: with every destination that is not, and the kinds that are installed.
    """
    kinds = {*BUILT_IN, *plug_ins()}
    mistakes = [
        f"destination {each.name!r}: no kind {each.kind!r}; there are: {known_kinds()}"
        for each in config.destination
        if each.kind not in kinds
    ]
    if mistakes:
        raise ConfigError(mistakes)


def _send_by_plug_in(
    destination: Destination, package: Package, already: frozenset[str], deadline: Deadline
) -> Iterator[Sent]:
    from handlers.model import Product  # it brings numpy, which only a node with such a destination needs

    take = _load(destination)
    for item in package.items:
        if item.name in already:
            continue
        deadline.check()
        take(Product(item.kind, item.path, item.volume, item.sha256, item.size_bytes))
        yield Sent(item.name)


def _load(destination: Destination) -> Callable[[Any], None]:
    plug_in = entry_points(group=GROUP)[destination.kind].load()
    take: Callable[[Any], None] = plug_in(**destination.options) if isinstance(plug_in, type) else plug_in
    return take
