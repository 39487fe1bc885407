"""Loading processes send what shared memory has room for; the batches are the same, and a full one is told."""

import os
from pathlib import Path

import pytest
import torch
from torch.utils.data import BatchSampler, TensorDataset

from vit.data.loading import worker_processes
from vit.data.loading.worker_processes import ProcessLoader, fitting
from vit.errors import UserError
from vit.hardware.machine import OUT_OF_SHARED_MEMORY, free_shared_memory_bytes, is_out_of_shared_memory

MB = 2**20


@pytest.mark.parametrize(
    ("workers", "cores", "free", "expected"),
    [
        (8, 8, None, (8, 256)),  # no limit
        (0, 8, 0, (0, 256)),
        (8, 8, 64_000 * MB, (8, 256)),
        (8, 8, 1024 * MB, (8, 27)),
        (2, 2, 64 * MB, (2, 6)),
        (1, 8, 64 * MB, (1, 1)),  # seven others may load for trainings beside this one
        (64, 64, 64 * MB, (13, 1)),
        (2, 2, 1 * MB, (0, 256)),
        (4, 4, 0, (0, 256)),
    ],
)
def test_what_is_sent_fits(workers: int, cores: int, free: int | None, expected, monkeypatch) -> None:
    monkeypatch.setattr(worker_processes, "available_cores", lambda: cores)
    assert fitting(workers, 256, 4 * 3 * 224 * 224, free) == expected


@pytest.mark.parametrize("most", [1, 3, 4, 100])
def test_pieces_make_the_same_batches(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = TensorDataset(torch.arange(11.0).reshape(11, 1).repeat(1, 5), torch.arange(11))
    monkeypatch.setattr(worker_processes, "fitting", lambda workers, *_: (workers, most))
    loader = ProcessLoader(images, BatchSampler(range(11), 4, drop_last=False), 2, 4, 20)
    iterator = iter(loader)
    assert next(iterator)[1].tolist() == [0, 1, 2, 3]
    for _ in range(2):  # after an epoch that was left early, too
        batches = list(loader)
        assert len(loader) == len(batches) == 3
        assert [labels.tolist() for _, labels in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
        assert all(torch.equal(images, labels[:, None].expand(-1, 5)) for images, labels in batches)


@pytest.mark.skipif(not Path("/dev/shm").exists(), reason="there is no /dev/shm")
def test_free_shared_memory_is_what_the_system_says(tmp_path: Path) -> None:
    free = free_shared_memory_bytes()
    assert free is not None and free > 0
    assert free_shared_memory_bytes(tmp_path / "none") == 0


class Failing(TensorDataset):
    def __getitem__(self, index):
        if index == 5:
            raise self.error
        return super().__getitem__(index)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("unable to allocate shared memory(shm) for file </torch_1_2_0>: No space left"), "--shm-size"),
        (UserError("a.jpg: cut short"), "^a.jpg: cut short$"),
    ],
)
def test_what_a_process_meets_is_told_here(error: Exception, message: str) -> None:
    images = Failing(torch.zeros(8, 1))
    images.error = error
    with pytest.raises(UserError, match=message):
        list(ProcessLoader(images, BatchSampler(range(8), 2, drop_last=False), 1, 2, 4))


class Ending(TensorDataset):
    def __getitem__(self, index):
        os.kill(os.getpid(), 7)  # SIGBUS


def test_a_process_that_the_system_ends_for_shared_memory_is_told_as_that() -> None:
    with pytest.raises(UserError, match=r"data\.workers=0.*--shm-size"):
        list(ProcessLoader(Ending(torch.zeros(8, 1)), BatchSampler(range(8), 2, drop_last=False), 1, 2, 4))


def test_shared_memory_is_recognised() -> None:
    said = RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's")
    outer = RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")
    outer.__cause__ = said
    assert is_out_of_shared_memory(said) and is_out_of_shared_memory(outer)
    assert not is_out_of_shared_memory(RuntimeError("mat1 and mat2")) and "data.workers=0" in OUT_OF_SHARED_MEMORY
