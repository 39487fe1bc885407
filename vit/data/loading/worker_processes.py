"""Batches loaded by other processes, which send them through shared memory: whole where it has room, else in pieces."""

import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from ...errors import UserError
from ...hardware.endings import ASKING
from ...hardware.machine import OUT_OF_SHARED_MEMORY, available_cores, free_shared_memory_bytes, is_out_of_shared_memory

AHEAD = 2  # batches or pieces that every process may have sent before they are taken
OF_FREE = 1 / 4  # of shared memory, for as many processes as cores: validation, and other trainings, need some too


class ProcessLoader(DataLoader):
    """The batches of a sampler, in its order, loaded by so many processes; by fewer where shared memory is too small.

    `batch_size` is that of the largest batch, and `image_bytes` those of an item. Raises UserError for what cannot be
    loaded, and for shared memory that is full.
    """

    def __init__(self, images: TorchDataset, batches: Sampler, workers: int, batch_size: int, image_bytes: int) -> None:
        workers, most = fitting(workers, batch_size, image_bytes, free_shared_memory_bytes())
        self.pieces = Pieces(batches, most)
        super().__init__(
            images,
            batch_sampler=self.pieces,
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=AHEAD if workers else None,
            pin_memory=torch.cuda.is_available() and most >= batch_size,
            # Forked, a worker starts at once and ends with its process, even inside one that a server forked.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            worker_init_fn=leave_signals_to_others,
        )

    def __iter__(self) -> Iterator[Any]:
        loading = super().__iter__()
        end_by_force(loading)
        try:
            yield from self.pieces.joined(loading)
        except UserError as error:  # a process sends its traceback with the message
            raise UserError(str(error).rsplit("UserError: ", 1)[-1].strip()) from error
        except RuntimeError as error:
            if is_out_of_shared_memory(error) or ended_for_shared_memory(loading):
                raise UserError(OUT_OF_SHARED_MEMORY) from error
            raise


class Pieces(Sampler):
    """A sampler's batches, cut into pieces of `most` images, which are joined when they are loaded."""

    def __init__(self, batches: Sampler, most: int) -> None:
        self.batches: Any = batches
        self.most = most
        self.sampler = self  # where Lightning looks for set_epoch
        self._sizes: list[int] = []  # of the batches on their way

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.batches, "set_epoch"):
            self.batches.set_epoch(epoch)

    def names(self, epoch: int, batch: int) -> list[str]:
        return self.batches.names(epoch, batch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Sequence[Any]]:
        self._sizes.clear()
        for keys in self.batches:
            self._sizes.append(len(keys))
            yield from (keys[first : first + self.most] for first in range(0, len(keys), self.most))

    def joined(self, pieces: Iterator[Sequence[Tensor]]) -> Iterator[Sequence[Tensor]]:
        """Yield the batches of which these are the pieces; each piece gives up its shared memory when it has come."""
        whole: list[Tensor] = []
        done = 0
        for piece in pieces:
            size, count = self._sizes[0], len(piece[0])
            if count == size:
                yield piece
            else:
                whole = whole or [room(size, part) for part in piece]
                for place, part in zip(whole, piece, strict=True):
                    place[done : done + count] = part
                done += count
                if done < size:
                    continue
                yield whole
                whole, done = [], 0
            self._sizes.pop(0)


def leave_signals_to_others(worker: int) -> None:
    """Let a loading process go on when a signal is sent to all: the one that trains saves its step, and ends it then.

    It ends by itself when that process is there no more.
    """
    for number in ASKING:
        signal.signal(number, signal.SIG_IGN)


def end_by_force(loading: Any) -> None:
    """Let torch and Python, where they would end a loading process by SIGTERM, which it does not hear, kill it."""
    for worker in processes_of(loading):
        worker._popen.terminate = worker._popen.kill


def ended_for_shared_memory(loading: Any) -> bool:
    """Return whether a process ended by SIGBUS: torch says so only where it hears of it before it misses the answer."""
    return sys.platform != "win32" and any(worker.exitcode == -signal.SIGBUS for worker in processes_of(loading))


def processes_of(loading: Any) -> list[Any]:
    """Return torch's loading processes behind an iterator; none where this process loads by itself."""
    return getattr(loading, "_workers", [])


def room(size: int, part: Tensor) -> Tensor:
    pinned = torch.cuda.is_available()  # a GPU takes such memory while the processor goes on
    return torch.empty(size, *part.shape[1:], dtype=part.dtype, pin_memory=pinned)


def fitting(workers: int, batch_size: int, image_bytes: int, free: int | None) -> tuple[int, int]:
    """Return how many processes can load, and how many images each may send at once, of so many free bytes.

    None are the bytes where nothing limits them. No process is left where each could not even send single images.
    """
    if not workers or free is None:
        return workers, batch_size
    messages = AHEAD * max(workers, available_cores())
    most = int(OF_FREE * free / (messages * image_bytes))
    if most:
        return workers, min(most, batch_size)
    workers = min(workers, int(OF_FREE * free / (AHEAD * image_bytes)))
    return workers, 1 if workers else batch_size
