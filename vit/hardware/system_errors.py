"""What the system refuses, in words for those who can mend it: disks, rights, names, memory.

One rule for all verbs: where such an error ends a command, its reader is told the place, the reason and what to do.
"""

import errno

from .machine import OUT_OF_SHARED_MEMORY, is_out_of_memory, is_out_of_shared_memory

OUT_OF_MEMORY = "out of memory: end what else uses it, or take smaller images, smaller batches or a smaller model"
ADVICE = {
    errno.ENOSPC: "free some space there, then give the command again (a training with --resume)",
    errno.EDQUOT: "free some of the quota, then give the command again (a training with --resume)",
    errno.EROFS: "nothing can be written there; choose another place by --out",
    errno.EACCES: "look who owns it and who may read and write it, or choose another place",
    errno.EPERM: "look who owns it and who may read and write it, or choose another place",
    errno.ENOENT: "was it moved or removed meanwhile?",
    errno.ENOTDIR: "a file stands where a folder is needed; choose another place",
    errno.EISDIR: "a folder stands where a file is needed; choose another place",
    errno.EEXIST: "something stands there already; choose another place",
    errno.ENOTEMPTY: "something stands there already; choose another place",
    errno.ENAMETOOLONG: "shorten the name",
    errno.ELOOP: "its links lead in a circle; mend them",
    errno.EMFILE: "raise the limit of open files (ulimit -n 4096), or lower data.workers",
    errno.ENOMEM: "end other programs, or lower data.workers",
    errno.EIO: "the disk gives errors: look at it, and copy the data elsewhere",
    errno.ESTALE: "the network's disk lost it: mount it again",
}
NOT_WRITTEN = (
    "PytorchStreamWriter failed",
    "iostream error",
    "No space left on device",
)  # of torch, safetensors


def told_to_mend(error: BaseException) -> str | None:
    """Return what an error of the system says and what helps, or None for one that is not of the system."""
    if is_out_of_shared_memory(error):
        return OUT_OF_SHARED_MEMORY
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    if isinstance(error, OSError):
        return _of_files(error)
    if isinstance(error, UnicodeError):
        return f"a name or a text that is not UTF-8: {_last_line(error)}; rename the file, or give the text in UTF-8"
    if any(sign in str(error) for sign in NOT_WRITTEN):
        return f"a file could not be written: {_last_line(error)}; {ADVICE[errno.ENOSPC]}"
    return None


def _of_files(error: OSError) -> str:
    places = [str(name) for name in (error.filename, error.filename2) if name is not None]
    told = [" -> ".join(places), error.strerror or _last_line(error), ADVICE.get(error.errno or 0, "")]
    where, what, advice = told
    return (f"{where}: " if where else "") + what + (f"; {advice}" if advice else "")


def _last_line(error: BaseException) -> str:
    """Return the last line of an error's text: those of loading processes come with their traceback before it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
