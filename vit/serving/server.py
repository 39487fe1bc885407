"""The server: where it listens, and that it answers what is under way before it ends."""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..errors import UserError

INSTALL = "pip install 'vit-toolkit[serve]'"
SECONDS_TO_END = 30
KEPT_OPEN_S = 5
WAITING_CONNECTIONS = 512
PORTS_TRIED = 20  # for a free one to name


def check_installed() -> None:
    """Raise UserError where the packages of the extra are missing."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(f"serving needs starlette and uvicorn: {INSTALL}") from error


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raises UserError, naming a free port, where that one is taken or not allowed."""
    try:
        return opened(host, port)
    except OSError as error:
        free = next((other for other in range(port + 1, port + PORTS_TRIED) if is_free(host, other)), None)
        advice = f"; {free} is free: --port {free}" if free is not None else ""
        raise UserError(f"{host}:{port} cannot be listened to ({error.strerror or error}){advice}") from error


def opened(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol by its name: asyncio else leaves Nagle's algorithm on, and every answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(WAITING_CONNECTIONS)
    except BaseException:
        listener.close()
        raise
    return listener


def is_free(host: str, port: int) -> bool:
    try:
        opened(host, port).close()
    except (OSError, OverflowError):
        return False
    return True


def address_of(listener: socket.socket) -> str:
    """Return the address that a browser opens."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/"


def run(app: Any, listener: socket.socket, ready: Callable[[], object]) -> None:
    """Serve until Ctrl-C or SIGTERM; `ready` is called once requests are answered."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        ws="none",
        loop="asyncio",
        http="h11",
        lifespan="on",
        timeout_keep_alive=KEPT_OPEN_S,
        timeout_graceful_shutdown=SECONDS_TO_END,
    )
    with suppress(KeyboardInterrupt):  # so it ends, with nothing left to say
        Server(config).run(sockets=[listener])
