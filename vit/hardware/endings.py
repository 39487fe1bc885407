"""How a process ended that gave no answer, in words, and what to do then."""

import re
import signal

# What asks a process to end: Ctrl-C, a system or scheduler, a closed terminal, which Windows does not tell.
ASKING = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
LACK_OF_MEMORY = "most likely for lack of memory"
CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE")
OF_A_WORKER = re.compile(r"DataLoader worker \(pid (?P<pid>\d+)\) is killed by signal: (?P<name>[^.]*)")
GONE = re.compile(r"DataLoader worker \(pid\(s\) (?P<pids>[\d, ]+)\) exited unexpectedly")


def in_words(exit_code: int | None) -> str:
    """Return how a process ended, by its exit code: below 0 the number of a signal, None where it is not known."""
    if exit_code is None:
        return "ended in a way that is not known"
    if exit_code >= 0:
        return f"ended with status {exit_code} and no answer; what it said last stands above"
    return by_signal(name_of(-exit_code))


def name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # of real-time ones, some have no name
        return f"signal {number}"


def by_signal(name: str) -> str:
    if name == "SIGKILL":
        return f"was ended from outside by SIGKILL, {LACK_OF_MEMORY}"
    if name == "SIGBUS":
        return (
            "crashed by SIGBUS: a disk, or shared memory (/dev/shm), was full or went away; data.workers=0 needs none"
        )
    if name in CRASHES:
        return (
            f"crashed by {name}, in a library's code; where it does so again, another training.precision, model.width "
            "or data.image_size takes another way there"
        )
    return f"was ended from outside by {name}"


def of_loading(error: BaseException) -> str | None:
    """Return what an error of torch's says of a loading process that died, or None where it is of something else."""
    said = str(error)
    if found := OF_A_WORKER.search(said):
        name = {signal.strsignal(s): s.name for s in signal.Signals}.get(found["name"].strip(), found["name"].strip())
        return f"a loading process (pid {found['pid']}) {by_signal(name)}"
    if found := GONE.search(said):
        return (
            f"a loading process (pid {found['pids']}) ended without a word, {LACK_OF_MEMORY}, or was ended from outside"
        )
    return None
