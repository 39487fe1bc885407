"""The application on a Ray cluster, by the example that is shipped: a real local Ray, asked by a real client."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from drawn_models import model_file

from vit.exporters.real_images import photographs
from vit.model import load

pytest.importorskip("ray.serve", reason="ray[serve] is not installed")
TOOLS = Path(__file__).parents[2] / "tools"
CODE = """
import json, sys, urllib.request
sys.path.insert(0, sys.argv[1])
import ray, serve_on_ray
from ray import serve

ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
serve.start(http_options={"port": int(sys.argv[4])}, logging_config={"log_level": "ERROR"})
serve.run(serve_on_ray.deployed([sys.argv[2]], cpus=0.5))
address = f"http://127.0.0.1:{sys.argv[4]}/predict?top=3"
with urllib.request.urlopen(urllib.request.Request(address, open(sys.argv[3], "rb").read()), timeout=60) as response:
    print("answer", response.read().decode())
serve.shutdown()
ray.shutdown()
"""


def test_the_example_answers_as_predict_does(randomize, tmp_path: Path) -> None:
    file = model_file(tmp_path / "model.safetensors", randomize)
    picture = tmp_path / "picture.png"
    photographs()[0].save(picture)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-c", CODE, str(TOOLS), file, str(picture), str(port)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr[-3000:]
    answer = json.loads(next(line for line in said.stdout.splitlines() if line.startswith("answer"))[7:])
    expected = load(file).predict([picture], 3)[0]
    assert answer["classes"] == expected["classes"]
    assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
