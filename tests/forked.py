"""`vit` in a process of its own that starts at once: forked from one that has imported everything."""

import multiprocessing
import os
import signal
import sys
import tempfile

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    [f"vit.commands.{verb}" for verb in ("train", "evaluate", "compare", "export")] + ["timm"]
)


class Vit:
    """A command line, carried out with one thread and under changed environment variables; what it prints is kept.

    Python `code` may change the program first.
    """

    def __init__(self, *arguments: str, code: str = "", **environment: str):
        self._printed = tempfile.NamedTemporaryFile()  # noqa: SIM115 - as long as this object
        self.process = context.Process(target=carry_out, args=(arguments, environment, self._printed.name, code))
        self.process.start()

    def send(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def end(self, seconds: float = 240) -> tuple[int | None, str]:
        """Return its status and all that it printed, to both streams, when it has ended."""
        self.process.join(seconds)
        with self._printed as printed:
            return self.process.exitcode, printed.read().decode()


def carry_out(arguments: tuple[str, ...], environment: dict[str, str], printed: str, code: str) -> None:
    import torch

    from vit.cli import main

    os.environ |= environment
    descriptor = os.open(printed, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a server's children ignore Ctrl-C
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
    torch.set_num_threads(1)
    sys.argv = ["vit", *arguments]
    exec(code, {})
    main()
