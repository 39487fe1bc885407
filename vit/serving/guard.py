"""Who may ask: programs and pages that name this server as it is called here.

A page of a stranger, in a browser on this machine, could else ask a server that listens to this machine alone: under a
name of its own that leads here (DNS rebinding), or straight across.
"""

import ipaddress
import json
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """An ASGI application before another: it refuses a foreign Host or Origin, and tells browsers what is allowed.

    `host` is where the server listens; beyond this machine it may be called by any address, by this machine's name and
    by the further `names`, which a proxy before it has.
    """

    def __init__(self, app: Any, host: str, names: Iterable[str] = (), policy: str = "default-src 'none'"):
        self.app = app
        self.anywhere = not is_loopback(host)
        self.names = LOOPBACK | {host, *names} | ({socket.gethostname()} if self.anywhere else set())
        self.headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cache-control", b"no-store"),
        ]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        reason = self.why_refused(sent.get("host", ""), sent.get("origin"))

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message.get("headers", []), *self.headers]}
            await send(message)

        if reason is None:
            await self.app(scope, receive, with_headers)
            return
        body = json.dumps({"error": reason}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await with_headers({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def why_refused(self, host: str, origin: str | None) -> str | None:
        """Return why a request with such headers is not answered, or None where it is."""
        name = name_of(f"//{host}")
        if not self.is_known(name):
            return f"this server is not called {name or 'nothing'} here; --allow-host {name} lets it be"
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "a page of another address may not ask here"
        return None

    def is_known(self, name: str) -> bool:
        return name in self.names or (self.anywhere and is_address(name))


def name_of(address: str) -> str:
    """Return the name in an address, without its port."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether a server at such a host listens to this machine alone."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)
