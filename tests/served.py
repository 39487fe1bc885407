"""A server as people start it: a process of its own, found by the address that it prints."""

import json
import subprocess
import sys
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Server:
    """A running `vit serve`."""

    process: subprocess.Popen
    address: str
    models: list[str]

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port is not None
        return port

    def connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Return the status of one request, and its answer."""
        connection = self.connection()
        try:
            connection.request("POST" if body is not None else "GET", path, body, headers or {})
            response = connection.getresponse()
            text = response.read()
            kind = response.getheader("content-type", "")
            return response.status, json.loads(text) if "json" in kind else text.decode()
        finally:
            connection.close()


def started(models: list[str], *options: str, verb: str = "serve") -> Server:
    command = [sys.executable, "-m", "vit", verb, *models, "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address.startswith("http://"), process.communicate()[1]
    return Server(process, address, models)
