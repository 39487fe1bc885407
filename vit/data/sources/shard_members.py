"""What lies in one tar file: its images with their classes, and what is passed over, with the reason."""

import json
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath

from ...errors import UserError
from ..decoding import reading

IN_JSON = ("cls", "label", "class_name")  # names of the class, in this order
BESIDE = (".cls", ".json")
BLOCK = tarfile.BLOCKSIZE
LARGEST_BESIDE = 1_000_000  # bytes of a file that names a class
LONGEST_LABEL = 255  # characters

Place = tuple[int, int]  # of a file in its shard: first byte, and size


@dataclass(frozen=True)
class Member:
    """One image of a shard: its name, its place in bytes, and its class as it is written."""

    name: str
    offset: int
    size: int
    label: str


@dataclass(frozen=True)
class Contents:
    """The images of a shard, and everything else in it by name, with the reason why it is no image of the set."""

    images: list[Member]
    passed_over: dict[str, str]


def contents_of(shard: Path) -> Contents:
    """Return what a shard holds.

    Raises UserError for one that is cut short, has a name twice, or images whose class nothing tells.
    """
    files, passed_over = files_of(shard)
    if not files:
        raise UserError(f"{shard}: an empty shard")
    beside: dict[str, list[str]] = defaultdict(list)
    for name in sorted(files):  # .cls before .json
        if name.endswith(BESIDE):
            beside[key(name)].append(name)
    keyed = bool(beside)
    images: list[Member] = []
    unlabelled: dict[str, str] = {}
    with shard.open("rb") as file:
        for name, (offset, size) in files.items():
            if name.endswith(BESIDE):
                continue
            reason = reason_against(name, keyed)
            if reason:
                passed_over[name] = reason
                continue
            try:
                places = [(other, files[other]) for other in beside[key(name)]]
                images.append(Member(name, offset, size, label_of(file, name, places, keyed)))
            except ValueError as error:
                unlabelled[name] = str(error)
    if unlabelled:
        first, why = next(iter(unlabelled.items()))
        raise UserError(
            f"{shard}: images without a class: {len(unlabelled)}, {first} the first{why and f' ({why})'}; "
            "give key.cls or key.json beside key.jpg, or a class folder in the name"
        )
    return Contents(images, passed_over)


def reason_against(name: str, keyed: bool) -> str:
    """Return why a file of a shard is no image of the set, or nothing where it is one."""
    path = PurePosixPath(name)
    if any(part.startswith(".") for part in path.parts if part != ".."):
        return "hidden"
    if path.suffix.lower() not in reading.SUFFIXES:
        return f"no image in a format that is read ({path.suffix or 'without an ending'})"
    if keyed and key(name) + path.suffix != name:  # key.seg.png, say, which is no photograph of its own
        return "beside the image of its key"
    return ""


def files_of(shard: Path) -> tuple[dict[str, Place], dict[str, str]]:
    """Return the files of a tar file, with their places, and all else in it but folders, with what it is.

    Raises UserError for one that is cut short, or holds a name twice.
    """
    length = shard.stat().st_size
    try:
        with tarfile.open(shard, "r:") as archive, shard.open("rb") as file:
            inside = [member for member in archive if not member.isdir()]
            file.seek(archive.offset)
            whole = file.read(BLOCK) == bytes(BLOCK)  # two blocks of zeros end a tar file
    except (tarfile.TarError, EOFError, OSError, ValueError, RecursionError) as error:
        raise UserError(f"{shard}: cut short or no tar file ({error})") from error
    files = [member for member in inside if member.isreg() and not member.issparse()]
    cut = next((member.name for member in files if member.offset_data + member.size > length), None)
    if cut is not None or not whole:
        where = f"in {cut}" if cut else f"behind {inside[-1].name}" if inside else "at its beginning"
        raise UserError(f"{shard}: cut short or damaged {where}; copy it again")
    twice = [name for name, times in Counter(map(name_of, files)).items() if times > 1]
    if twice:
        raise UserError(
            f"{shard}: {len(twice)} names stand there more than once, {twice[0]} the first; keep one of each"
        )
    others = {name_of(member): kind_of(member) for member in inside if not member.isreg() or member.issparse()}
    return {name_of(member): (member.offset_data, member.size) for member in files}, others


def name_of(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./")


def kind_of(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return f"a link to {member.linkname}, which is not followed"
    return "a sparse file, which cannot be read in place" if member.issparse() else "a device or a pipe"


def key(name: str) -> str:
    """Return what the files of one sample share: all up to the first dot of the file's own name."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def label_of(file: BufferedReader, name: str, beside: list[tuple[str, Place]], keyed: bool) -> str:
    """Return the class of an image: of the files beside it, or of its folder; ValueError, with a reason, for none."""
    folder = PurePosixPath(name).parent.name
    found = labels_in(file, beside) if keyed else iter([folder if folder != ".." else ""])
    label = next(filter(None, found), "")
    if not label:
        raise ValueError("")
    if len(label) > LONGEST_LABEL:
        raise ValueError(f"its label has {len(label):,} characters")
    return label


def labels_in(file: BufferedReader, beside: list[tuple[str, Place]]) -> Iterator[str | None]:
    """Yield the class that each file beside an image names, or None; ValueError for one that cannot be read."""
    for name, (offset, size) in beside:
        if size > LARGEST_BESIDE:
            raise ValueError(f"{name} has {size:,} bytes")
        file.seek(offset)
        try:
            text = file.read(size).decode("utf-8").strip()
            yield text if name.endswith(".cls") else label_in_json(text)
        except (UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"{name} is no text in UTF-8, or nests without end") from error


def label_in_json(text: str) -> str | None:
    try:
        values = json.loads(text)
        found = next((values[name] for name in IN_JSON if name in values), None) if isinstance(values, dict) else values
        return str(found) if isinstance(found, str | int) else None
    except ValueError:  # no JSON, or a number of thousands of digits
        return None
