"""Precision and device: what cannot be is refused, and what was measured is remembered."""

import json

import pytest
import torch

from vit import UserError
from vit.hardware.precision import LIGHTNING_NAMES, remembered_bf16_ratio, resolve_device, resolve_precision

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
with_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


@pytest.fixture
def memory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vit" / "measured.json"


@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_what_is_asked_for_is_taken_without_measuring(name, memory):
    assert resolve_precision(name, "cpu") == (name, "asked for")
    assert not memory.exists()


@without_gpu
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="training.device is cuda, and torch sees no GPU here; use cpu or auto"):
        resolve_device("cuda")
    assert resolve_device("auto") == "cpu"


@with_gpu
def test_a_gpu_that_is_there_is_taken():
    assert resolve_device("cuda") == resolve_device("auto") == "cuda"
    assert resolve_device("cpu") == "cpu"


@pytest.mark.parametrize(
    ("surroundings", "expected"),
    [
        ({"RANK": "11", "LOCAL_RANK": "3"}, [3]),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "6", "SLURM_LOCALID": "2"}, [2]),
        ({"LOCAL_RANK": "5"}, []),  # of four: refused with the number of them, where the processes are counted
        ({}, []),
    ],
)
def test_a_process_takes_its_own_gpu_before_anything_is_there(surroundings, expected, monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "SLURM_NTASKS", "SLURM_JOB_NAME", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in surroundings.items():
        monkeypatch.setenv(name, value)
    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    assert resolve_device("auto") == "cuda"
    assert taken == expected


def test_auto_measures_once_and_remembers(memory):
    name, reason = resolve_precision("auto", "cpu")
    assert name in LIGHTNING_NAMES
    assert "bf16 measured" in reason
    ((machine, ratio),) = json.loads(memory.read_text()).items()
    assert ratio > 0
    assert (name == "bf16") == (ratio >= 1.2)
    for remembered, expected in ((7.5, "bf16"), (1.1, "fp32"), (0.3, "fp32")):
        memory.write_text(json.dumps({machine: remembered}))
        name, reason = resolve_precision("auto", "cpu")
        assert name == expected
        assert f"{remembered:.1f} times as fast" in reason


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((12, 0), "bf16"), ((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16"), ((7, 0), "fp16"), ((6, 1), "fp32")],
)
def test_a_gpu_says_what_it_computes_fast(capability, expected, memory, monkeypatch):
    """Nothing is measured: a busy card would decide, for ever."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: capability >= (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a card")
    monkeypatch.setattr("vit.hardware.precision.measure_bf16_ratio", lambda _: 1.1)  # of a convolution, say
    assert resolve_precision("auto", "cuda")[0] == expected
    assert not memory.exists()


def test_another_machine_in_the_memory_is_kept(memory):
    memory.parent.mkdir(parents=True)
    memory.write_text(json.dumps({"another machine": 3.0}))
    ratio = remembered_bf16_ratio("cpu")
    known = json.loads(memory.read_text())
    assert known.pop("another machine") == 3.0
    assert list(known.values()) == [ratio]


def test_a_damaged_memory_is_measured_anew(memory):
    memory.parent.mkdir(parents=True)
    memory.write_text('{"half')
    assert remembered_bf16_ratio("cpu") > 0
    assert len(json.loads(memory.read_text())) == 1


def test_a_memory_that_cannot_be_written_stops_nothing(memory):
    memory.parent.parent.mkdir()
    memory.parent.write_text("a file where the folder should be")
    assert remembered_bf16_ratio("cpu") > 0
