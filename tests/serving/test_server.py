"""The server, asked by real clients: equal answers for many at once, refusals with reasons, and a graceful end."""

import json
import random
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from served import Server, started

from vit.cli import run
from vit.model import load

REQUESTS, CLIENTS = 10_000, 32
DAMAGED = 2_000
TRAVERSALS = [
    *(f"/{'../' * n}etc/passwd" for n in range(1, 9)),
    *(f"/{'..%2f' * n}etc/passwd" for n in range(1, 9)),
    *(f"/{'%2e%2e/' * n}etc/passwd" for n in range(1, 9)),
    *(f"/predict/{'../' * n}etc/passwd" for n in range(1, 9)),
    *(f"/static/{'..%5c' * n}windows/win.ini" for n in range(1, 9)),
    "/file=/etc/passwd",
    "/gradio_api/file=/etc/passwd",
    "//etc/passwd",
    "/etc/passwd%00.png",
    "/model.safetensors",
    "/static/",
    "/.git/config",
    "/proc/self/environ",
    "/..;/etc/passwd",
    "/%c0%ae%c0%ae/etc/passwd",
]


@pytest.fixture(scope="module")
def expected(two_models: list[str], pictures: list[Path]) -> dict[str, list[dict]]:
    """What `vit predict --format json` says of the pictures."""
    return {name: load(model).predict(pictures, 3) for name, model in zip(("vit", "cnn"), two_models, strict=True)}


def is_same(answer: dict, row: dict, tolerance: float) -> bool:
    apart = np.abs(np.array(answer["probabilities"]) - row["probabilities"]).max()
    return answer["classes"] == row["classes"] and apart <= tolerance


def test_answers_alone_are_those_of_predict(server: Server, pictures, expected) -> None:
    for name in ("vit", "cnn"):
        for path, row in zip(pictures, expected[name], strict=True):
            status, answer = server.ask(f"/predict?model={name}&top=3", path.read_bytes())
            assert status == 200 and answer["model"] == name and is_same(answer, row, 1e-6), path
    _, first = server.ask("/predict", pictures[0].read_bytes())
    assert first["model"] == "vit", "the first model answers where none is named"


def test_no_answer_of_ten_thousand_is_another_s_and_memory_stays_flat(server: Server, pictures, expected) -> None:
    draw = random.Random(0)
    asked = [(draw.choice(("vit", "cnn")), draw.randrange(len(pictures))) for _ in range(REQUESTS)]
    bodies = [path.read_bytes() for path in pictures]

    def client(number: int) -> int:
        connection, wrong = server.connection(), 0
        for name, i in asked[number::CLIENTS]:
            connection.request("POST", f"/predict?model={name}&top=3", bodies[i])
            response = connection.getresponse()
            wrong += response.status != 200 or not is_same(json.loads(response.read()), expected[name][i], 1e-5)
        connection.close()
        return wrong

    def in_turn(numbers: range) -> int:
        with ThreadPoolExecutor(CLIENTS) as clients:
            return sum(clients.map(client, numbers))

    client(0)  # what is allocated once
    before = memory_mb(server)
    assert in_turn(range(CLIENTS)) == 0
    assert memory_mb(server) - before < 50
    assert open_files(server) == []


def memory_mb(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def open_files(server: Server) -> list[str]:
    """Return the files on disk that a server has open to write."""
    found = []
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        flags = Path(f"/proc/{server.process.pid}/fdinfo/{link.name}").read_text().split("flags:")[1].split()[0]
        target = link.readlink()
        if target.is_file() and int(flags, 8) & 3:
            found.append(str(target))
    return found


def test_what_is_no_picture_is_refused_with_the_reason(server: Server, pictures) -> None:
    whole = pictures[0].read_bytes()
    with Image.open(pictures[0]) as image:
        tiff = BytesIO()
        image.save(tiff, "TIFF")
    bomb = BytesIO()
    Image.new("1", (40_000, 40_000)).save(bomb, "PNG")
    cases = {
        b"": (400, "no image came"),
        whole[: len(whole) // 2]: (415, "damaged"),
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>": (415, "not an image"),
        tiff.getvalue(): (415, "taken: JPEG"),
        bomb.getvalue(): (415, "decompression bomb"),
        b"\0" * (21 * 2**20): (413, "20 MB"),
    }
    for body, (status, reason) in cases.items():
        assert (found := server.ask("/predict", body))[0] == status and reason in found[1]["error"], found


def test_a_body_that_is_too_long_is_not_read_to_its_end(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            while sent < 300 * 2**20:
                connection.sendall(b"100000\r\n" + b"x" * 2**20 + b"\r\n")
                sent += 2**20
        except OSError:
            pass
        assert sent < 300 * 2**20, "all of it was taken"
    assert server.ask("/health")[0] == 200


def test_a_body_that_does_not_come_is_waited_for_no_longer_than_stated(two_models) -> None:
    code = (
        "import vit.serving.uploads as u; u.LONGEST_S = 0.5; from vit.cli import main; import sys; "
        f"sys.argv = ['vit', 'serve', {two_models[0]!r}, '--port', '0']; main()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        slow = Server(process, process.stdout.readline().strip(), two_models)
        with socket.create_connection(("127.0.0.1", slow.port), timeout=30) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nsome")
            answer = connection.makefile("rb").read()
        assert b" 408 " in answer and b"did not come whole" in answer
        process.send_signal(signal.SIGTERM)


def test_two_thousand_damaged_pictures_are_no_fault_of_the_server(server: Server, pictures) -> None:
    draw = random.Random(1)
    whole = [path.read_bytes() for path in pictures]

    def damaged(number: int) -> bytes:
        content = bytearray(whole[number % len(whole)])
        for _ in range(draw.choice((1, 3, 20, 200))):
            content[draw.randrange(len(content))] = draw.randrange(256)
        return bytes(content[: draw.randrange(1, len(content))] if number % 4 == 0 else content)

    bodies = [damaged(number) for number in range(DAMAGED)]
    with ThreadPoolExecutor(8) as clients:
        statuses = list(clients.map(lambda body: server.ask("/predict", body)[0], bodies))
    assert set(statuses) <= {200, 415} and statuses.count(415) > 100


@pytest.mark.parametrize("path", TRAVERSALS)
def test_there_are_no_files_to_ask_for(server: Server, path: str) -> None:
    status, answer = server.ask(path)
    assert status == 404 and "nothing is here" in answer["error"]


def test_there_are_fifty_of_these() -> None:
    assert len(TRAVERSALS) >= 50


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "192.168.0.7"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Host": "localhost:8000", "Origin": "http://evil.example"}, 403),
        ({"Host": "localhost:8000", "Origin": "http://localhost:9000"}, 403),
        ({"Host": "localhost:8000", "Origin": "null"}, 403),
    ],
)
def test_a_foreign_host_or_origin_is_refused(server: Server, pictures, headers, status) -> None:
    for path, body in (("/model", None), ("/predict", pictures[0].read_bytes())):
        assert server.ask(path, body, headers)[0] == status


def test_mistakes_in_an_address_are_told(server: Server, pictures) -> None:
    body = pictures[0].read_bytes()
    for path, reason in {
        "/predict?model=vti": "did you mean vit?",
        "/predict?top=0": "a number from 1",
        "/predict?top=many": "a number from 1",
        "/explain?method=magic": "there is no method magic",
        "/explain?class=horse": "knows no class horse",
        "/explain?model=cnn&method=attention": "explains it",
    }.items():
        status, answer = server.ask(path, body)
        assert status == 400 and reason in answer["error"], answer
    assert server.ask("/predict")[0] == 405
    assert server.ask("/predict?top=99", body)[1]["classes"].__len__() == 3


def test_programs_are_told_what_the_models_are(server: Server) -> None:
    status, said = server.ask("/model")
    assert status == 200 and [model["name"] for model in said["models"]] == ["vit", "cnn"]
    assert said["models"][0]["classes"] == ["cat", "dog", "a <b> & c"]
    assert said["models"][0]["preprocessing"]["image_size"] == [32, 48]


def test_an_explanation_comes_as_a_picture_with_its_faithfulness(server: Server, pictures) -> None:
    for name in ("vit", "cnn"):
        status, found = server.ask(f"/explain?model={name}&class=dog", pictures[0].read_bytes())
        assert status == 200 and found["class"] == "dog" and found["method"] == "integrated gradients"
        assert found["picture"].startswith("data:image/jpeg;base64,") and "deletion" in found["faithfulness"]


def test_explanations_and_answers_do_not_disturb_each_other(server: Server, pictures, expected) -> None:
    def explain(i: int) -> int:
        return server.ask(f"/explain?model={('vit', 'cnn')[i % 2]}", pictures[i].read_bytes())[0]

    def predict(i: int) -> bool:
        status, answer = server.ask("/predict?model=vit&top=3", pictures[i % 50].read_bytes())
        return status == 200 and is_same(answer, expected["vit"][i % 50], 1e-5)

    with ThreadPoolExecutor(16) as clients:
        explanations = [clients.submit(explain, i) for i in range(8)]
        answers = list(clients.map(predict, range(200)))
    assert all(answers) and all(one.result() == 200 for one in explanations)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_to_and_answers_what_is_under_way(two_models, pictures, ending) -> None:
    running, body = started(two_models[:1]), pictures[0].read_bytes()
    head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", running.port), timeout=60) as connection:
        connection.sendall(head + body[:100])
        assert running.ask("/health")[0] == 200  # the other request has come before this one
        running.process.send_signal(ending)
        time.sleep(0.2)
        connection.sendall(body[100:])
        assert b" 200 " in connection.makefile("rb").read()
    said = running.process.communicate(timeout=60)[1]
    assert running.process.returncode == 0 and "Traceback" not in said


def test_a_port_that_is_taken_is_told_with_the_next_free_one(two_models, capsys) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert run(["serve", two_models[0], "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"127.0.0.1:{port} cannot be listened to" in said and "is free: --port" in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["no/such/model"], "there is no file or folder"),
        (["{model}", "{model}"], "name every model once"),
        (["{model}", "--host", "no.such.host.example"], "cannot be listened to"),
    ],
)
def test_mistakes_end_in_words(arguments, reason, two_models, capsys) -> None:
    assert run(["serve", *(part.format(model=two_models[0]) for part in arguments), "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert reason in said and "Traceback" not in said


def test_beyond_this_machine_it_listens_only_when_told_to(two_models, pictures) -> None:
    running = started(two_models[:1], "--host", "0.0.0.0", "--allow-host", "models.example")
    try:
        for host, status in {"10.1.2.3:80": 200, "models.example": 200, "evil.example": 403}.items():
            assert running.ask("/predict", pictures[0].read_bytes(), {"Host": host})[0] == status
    finally:
        running.process.send_signal(signal.SIGTERM)
        said = running.process.communicate(timeout=60)[1]
    assert "reached from other machines" in said
