"""`vit serve` and `vit demo`: models that answer over HTTP, for programs and on a page."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..hardware.precision import available_device
from ..model import Model, load
from ..places import short_names
from ..serving import server
from ..serving.guard import is_loopback

logger = logging.getLogger(__name__)

PORT = 8000


def serve(
    models: Sequence[str | Path],
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    allow_hosts: Sequence[str] = (),
    ready: Callable[[str], object] = logger.info,
) -> None:
    """Answer requests until Ctrl-C or SIGTERM; `ready` is told the address once they are answered.

    Raises UserError for models that are not there or name no classes, and for a port that cannot be listened to.
    """
    server.check_installed()
    listener = server.listening(host, port)
    with listener:
        app = application(models, host=host, allow_hosts=allow_hosts)
        address = server.address_of(listener)
        if not is_loopback(host):
            logger.warning(f"{host} is reached from other machines: whoever reaches this port may ask, without a word")
        server.run(app, listener, lambda: ready(address))


def application(models: Sequence[str | Path], *, host: str = "127.0.0.1", allow_hosts: Sequence[str] = ()) -> Any:
    """Return the ASGI application of some MODELs, for any server that takes one.

    Raises UserError for models that are not there or name no classes.
    """
    server.check_installed()
    from ..serving.app import application as application_of

    return application_of(loaded(models), host, allow_hosts)


def loaded(models: Sequence[str | Path]) -> dict[str, Model]:
    """Return models by their short names."""
    names = [str(model) for model in models]
    with ThreadPoolExecutor(1) as passing:  # its team of processors ends with it, and disturbs none that answers
        found = dict(zip(short_names(names), passing.map(load, names), strict=True))
    device = available_device("auto")
    for model in found.values():
        if not model.classes:
            raise UserError(f"{model.source} names no classes: there is nothing to answer")
        model.module.to(device)
    return found
