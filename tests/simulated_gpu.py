"""A GPU that is not there: a processor queues work for it and runs ahead, and waits only where it is told to."""

from typing import Any


class SimulatedGPU:
    """Two clocks in seconds: the processor's, and when the GPU will have done all that it was given."""

    def __init__(self) -> None:
        self.now = self.free = 0.0

    def queue(self, starting: float, working: float) -> None:
        """Let the processor spend the time that starting takes, and the GPU work when it has done all before."""
        self.now += starting
        self.free = max(self.now, self.free) + working

    def wait(self, *_: Any) -> None:
        self.now = max(self.now, self.free)

    def event(self, enable_timing: bool = False) -> "Event":
        return Event(self)


class Event:
    """As torch.cuda.Event: when the GPU reaches it."""

    def __init__(self, gpu: SimulatedGPU) -> None:
        self.gpu, self.at = gpu, 0.0

    def record(self) -> None:
        self.at = max(self.gpu.now, self.gpu.free)

    def query(self) -> bool:
        return self.at <= self.gpu.now

    def synchronize(self) -> None:
        self.gpu.now = max(self.gpu.now, self.at)

    def elapsed_time(self, end: "Event") -> float:
        return 1000 * (end.at - self.at)
