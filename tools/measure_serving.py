"""Measure a server beside its model alone: images a second of 32 clients, and how long one picture takes when idle.

    uv run tools/measure_serving.py MODEL... PICTURE...

Writes the table of docs/serving.md. Clients, server and the model alone share this machine and take turns.
"""

import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import torch
from pages import machine, renew

import vit
from vit.data.decoding.reading import is_image_name, read_image
from vit.environment import environment

PAGE = Path(__file__).parent.parent / "docs" / "serving.md"
CLIENTS, SECONDS, ROUNDS, ALONE = 32, 15.0, 3, 30
HEAD = """| model | alone, batches of 32 | served, 32 clients | | alone, one image | served, one client |
|---|---|---|---|---|---|"""


def main() -> None:
    names = [name for name in sys.argv[1:] if not is_image_name(Path(name))]
    pictures = [Path(name) for name in sys.argv[1:] if name not in names]
    rows = [row_of(name, pictures) for name in names]
    made = f"{machine(environment())}; {ROUNDS} rounds of {SECONDS:.0f} s in turns, pictures decoded and resized."
    renew(PAGE, "speed", "\n".join([HEAD, *(f"| {' | '.join(row)} |" for row in rows), "", made]))


def row_of(name: str, pictures: list[Path]) -> list[str]:
    """Return how fast a model is alone and behind a server."""
    model = vit.load(name)
    images = torch.stack([model.transform(read_image(path)) for path in pictures])
    batch = images[torch.arange(32) % len(images)]
    command = [sys.executable, "-m", "vit", "serve", name, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = urlsplit(server.stdout.readline().strip()).port
        assert port is not None
        bodies = [path.read_bytes() for path in pictures]
        rates, served = [], []
        for _ in range(ROUNDS):
            rates.append(rate_of(model.module, batch))
            served.append(rate_of_server(port, bodies))
        alone = [1000 * seconds_of(model.module, images[:1]) for _ in range(ALONE)]
        idle = latencies_ms(port, bodies[0])
        server.terminate()
    share = np.median(np.array(served) / rates)
    row = [Path(name).stem, *(f"{np.median(some):.1f} images/s" for some in (rates, served)), f"{share:.0%}"]
    row += [f"{np.median(some):.1f} ms" for some in (alone, idle)]
    print(*row, sep="  ")
    return row


@torch.inference_mode()
def seconds_of(module: torch.nn.Module, batch: torch.Tensor) -> float:
    start = time.perf_counter()
    module(batch)
    return time.perf_counter() - start


def rate_of(module: torch.nn.Module, batch: torch.Tensor) -> float:
    """Return the images a second of a model in this process."""
    seconds_of(module, batch)
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        seconds_of(module, batch)
        calls += 1
    return calls * len(batch) / (time.perf_counter() - start)


def rate_of_server(port: int, bodies: list[bytes]) -> float:
    """Return the images a second of a server that so many clients ask at once."""
    counts, end = [0] * CLIENTS, time.perf_counter() + SECONDS

    def client(number: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        for body in cycle(bodies[number % len(bodies) :] + bodies[: number % len(bodies)]):
            if time.perf_counter() > end:
                break
            connection.request("POST", "/predict", body)
            connection.getresponse().read()
            counts[number] += 1
        connection.close()

    start = time.perf_counter()
    clients = [threading.Thread(target=client, args=[number]) for number in range(CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return sum(counts) / (time.perf_counter() - start)


def latencies_ms(port: int, body: bytes) -> list[float]:
    connection, found = HTTPConnection("127.0.0.1", port, timeout=60), []
    for _ in range(ALONE):
        start = time.perf_counter()
        connection.request("POST", "/predict", body)
        connection.getresponse().read()
        found.append(1000 * (time.perf_counter() - start))
    connection.close()
    return found


if __name__ == "__main__":
    main()
