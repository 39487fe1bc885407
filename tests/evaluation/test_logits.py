"""Logits on disk: a plain .npz that any NumPy reads, of which a report maps what it asks for."""

from mmap import mmap
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pytest

from vit.evaluation import logits as logits_file
from vit.evaluation.logits import MappedLogits

IDS, LABELS = ("a.png", "b/ü.png", "c.png"), np.array([1, 0, 6])
LOGITS = np.random.default_rng(0).normal(0, 3, (3, 7)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "evaluation" / "test.npz"


def kept(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["ids"].tolist() == list(IDS) and np.array_equal(arrays["labels"], LABELS)
        return arrays["logits"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_written_is_mapped_and_anybody_reads_it(path: Path, dtype: type) -> None:
    logits_file.write(path, IDS, LABELS, LOGITS.astype(dtype))
    ids, labels, logits = logits_file.read(path)
    assert ids.tolist() == list(IDS) and np.array_equal(labels, LABELS)
    assert isinstance(logits, MappedLogits) and logits.shape == (3, 7)
    assert logits[:].dtype == dtype and isinstance(getattr(logits[1:].base, "base", None), mmap)
    for rows in (slice(None), slice(1, 2), np.array([2, 0])):
        assert np.array_equal(logits[rows], LOGITS[rows])
    assert kept(path).dtype == dtype and np.array_equal(kept(path), LOGITS)


def test_half_precision_is_kept_where_it_changes_no_number(path: Path) -> None:
    half = LOGITS.astype(np.float16).astype(np.float32)
    logits_file.write(path, IDS, LABELS, half)
    logits = logits_file.read(path)[2]
    assert kept(path).dtype == np.float16
    assert logits[:].dtype == np.float32 and np.array_equal(logits[:], half)
    half[2, 3] = 70_000  # beyond it
    logits_file.write(path, IDS, LABELS, half)
    assert kept(path).dtype == np.float32 and np.array_equal(kept(path), half)


def test_what_is_compressed_or_lies_otherwise_is_loaded(path: Path) -> None:
    path.parent.mkdir()
    np.savez_compressed(path, ids=np.array(IDS), labels=LABELS, logits=LOGITS)
    assert np.array_equal(logits_file.read(path)[2], LOGITS)  # pyright: ignore[reportArgumentType]
    for odd in (np.asfortranarray(LOGITS), LOGITS[0], np.arange(6).reshape(3, 2)):
        np.savez(path, ids=np.array(IDS), labels=LABELS, logits=odd)
        assert np.array_equal(logits_file.read(path)[2], odd)  # pyright: ignore[reportArgumentType]


def test_a_byte_that_is_another_or_missing_is_told(path: Path) -> None:
    logits_file.write(path, IDS, LABELS, LOGITS)
    whole = path.read_bytes()
    place = whole.index(LOGITS[1].tobytes())
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(BadZipFile, match="CRC"):
        logits_file.read(path)
    path.write_bytes(whole[:place] + whole[place + 1 :])
    with pytest.raises((BadZipFile, OSError)):
        logits_file.read(path)
