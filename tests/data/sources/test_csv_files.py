"""Images listed in CSV files: what is read, and every mistake of a list, told at once."""

import os
from pathlib import Path

import numpy as np
import pytest

from vit.data.sources import csv_files, datasets
from vit.data.sources.csv_files import listed
from vit.errors import UserError
from vit.recipe import Data


@pytest.fixture
def write(tmp_path: Path):
    """Return the function from lines to a CSV file beside six images."""
    for name in ("a", "b", "c", "d", "e", "f"):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / f"{name}.png").touch()

    def to_file(*lines: str, encoding: str = "utf-8") -> str:
        path = tmp_path / "labels.csv"
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
        return str(path)

    return to_file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_one_label_an_image(write, encoding: str, between: str) -> None:
    lines = ["Path,label,split", "images/a.png,Käfer,train", "images/b.png, 雪 ,train", "", "images/c.png,Käfer,val"]
    source = listed(path=write(*(line.replace(",", between) for line in lines), encoding=encoding))
    assert source.classes == ("Käfer", "雪")
    assert {split: images.ids for split, images in source.splits.items()} == {
        "train": ("images/a.png", "images/b.png"),
        "validation": ("images/c.png",),
    }
    assert source.splits["train"].labels.tolist() == [0, 1] and not source.splits["train"].multilabel


def test_several_labels_or_none(write) -> None:
    source = listed(path=write("path,labels", "images/a.png,2|10", "images/b.png,", "images/c.png,10 | 10|1"))
    images = source.splits["train"]
    assert source.classes == ("1", "2", "10")  # as numbers
    assert images.labels.tolist() == [[False, True, True], [False, False, False], [True, False, True]]
    assert images.multilabel and images.counts(3).tolist() == [1, 1, 2]
    target = images.target(0)
    assert isinstance(target, np.ndarray) and target.dtype == np.float32 and target.tolist() == [0, 1, 1]


def test_a_quoted_path_and_one_from_the_root(write, tmp_path: Path) -> None:
    (tmp_path / "images" / 'odd, "name".png').touch()
    source = listed(
        path=write("path,label", '"images/odd, ""name"".png",x', f"{tmp_path / 'images' / 'a.png'},y", "images/b.png,x")
    )
    assert source.splits["train"].ids[0] == 'images/odd, "name".png'
    images = source.splits["train"]
    assert all(Path(images.address(i)).is_file() for i in range(len(images)))


def test_all_mistakes_are_told_with_their_lines(write) -> None:
    rows = ["images/a.png,x,train", "images/none.png,x,train", "images/b.png,,train", "images/c.png,y,tset"]
    rows += ["images/d.png,y,", "images/a.png,x,test", ",x,test", "images/e.png,xy,test", "images/f.png,y,train"]
    with pytest.raises(UserError) as caught:
        listed(path=write("path,lable,label,split", *(row.replace(",", ",,", 1) for row in rows)))
    first, *lines = str(caught.value).splitlines()
    assert first.endswith("labels.csv: 8 to mend:")
    assert [line.strip().split(": ")[0] for line in lines] == [f"line {n}" for n in (2, 3, 4, 5, 6, 7, 8, 9)]
    told = ["a.png is listed 2 times", "there is no file", "no label"]
    told += [
        "tset is none of train, validation, test; did you mean test?",
        "split is empty",
        "listed 2 times",
        "no path",
        "no image of train is xy",
    ]
    assert all(text in line for text, line in zip(told, lines, strict=True))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "the columns are missing; allowed: path,label or path,labels"),
        (["file,class", "images/a.png,x"], "line 1: the columns are file, class; allowed"),
        (["file,label", "images/a.png,", "b.png,y"], "line 2: no label"),
        (["path,label,spilt", "images/a.png,x,train", "images/b.png,y,test"], "no column spilt; did you mean split?"),
        (
            ["path,lable", "images/a.png,x"],
            "columns are path, lable; allowed(.|\n)*no column lable; did you mean label",
        ),
        (["path,label,labels", "images/a.png,x,y"], "the columns are path, label, labels"),
        (["path,label", "images/a.png,x"], "train has 1 classes; two or more"),
        (["path,label,split", "images/a.png,x,test"], "no image is in train"),
    ],
)
def test_other_files_are_refused(write, lines: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        listed(path=write(*lines))


def test_other_columns_may_stand_there(write) -> None:
    rows = ("7,images/a.png,x", "8,images/b.png,y")
    assert listed(path=write("label_id,path,label", *rows)).splits["train"].labels.tolist() == [0, 1]


def test_a_file_that_is_not_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    for name in ("binary.csv", "missing.csv"):
        with pytest.raises(UserError, match=f"{name} cannot be read as text in UTF-8"):
            listed(path=str(tmp_path / name))
    with pytest.raises(UserError, match="data.path is missing: name the CSV file"):
        listed()


def test_missing_splits_are_cut_as_from_a_folder(photo_folder: Path) -> None:
    """The same images give the same splits, whether folders or a list name the classes."""
    files = sorted(path.relative_to(photo_folder) for path in photo_folder.glob("*/*"))
    table = photo_folder / "labels.csv"
    table.write_text("path,label\n" + "".join(f"{path},{path.parent}\n" for path in files))
    ours = datasets.load(Data(name="csv", path=str(table), image_size=(32, 32)))
    theirs = datasets.load(Data(name="folder", path=str(photo_folder), image_size=(32, 32)))
    assert ours.classes == theirs.classes
    for split in ("train", "validation", "test"):
        mine, other = ours.split(split), theirs.split(split)
        assert dict(zip(mine.ids, mine.labels, strict=True)) == dict(zip(other.ids, other.labels, strict=True))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["images/a.png," + "x" * 200_000, "images/b.png,y"], "line 2: field larger than field limit"),
        (["images/a.png," + "x" * 2_000, "images/b.png,y"], "line 2: a label of 2,000 characters, xxx"),
        (["images/a.png," + "9" * 5_000, "images/b.png,7"], "line 2: a label of 5,000 characters, 999"),
        (["a" * 5_000 + ".png,x", "images/b.png,y"], r"line 2: there is no file .*aaa\.\.\. \(5,... characters\)"),
        (["images/a.png,x", 'images/b.png,"y', "images/c.png,x"], "line 3: unexpected end of data; is a quote opened"),
        (["images/a.png,x", "https://a.org/b.png,y"], "line 3: https://a.org/b.png is an address; fetch it, and name"),
        (["images/a.png,x", "images,y"], "line 3: .*images is a folder; a row names one image"),
        (["my, photo.png,x", "images/b.png,y"], "line 2: 3 cells for 2 columns; a name that holds the sign between"),
        (["images/a.png,x", "./images/../images/a.png,y"], "line 3: ./images/../images/a.png is listed 2 times"),
        (["~nobody/a.png,x", "~/none.png,y"], "line 2: there is no file .*~nobody/a.png\n.*line 3: .*~/none.png"),
    ],
)
def test_odd_rows_are_told_with_their_lines(write, rows: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        listed(path=write("path,label", *rows))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,label\na.png,x\nb.png,caf\xe9\n", "'utf-8' codec .* on line 3; save it as UTF-8"),
        ("path,label\na.png,x\n".encode("utf-16"), "zero bytes; save it as UTF-8"),
        (b"path,label\na\0.png,x\n", "zero bytes"),
        (b"path,label,label\na.png,x,y\n", "line 1: the column label stands there 2 times"),
        (b"", "the columns are missing"),
        (b"path,labels\na.png\n", "line 2: 1 cells for 2 columns; an image without labels has an empty cell"),
    ],
)
def test_odd_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        listed(path=str(tmp_path / "labels.csv"))


def test_what_is_no_file_is_no_list(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("pipe.csv", "", "a" * 300):
        with pytest.raises(UserError, match="cannot be read as text in UTF-8"):
            listed(path=str(tmp_path / name))


def test_paths_as_people_write_them(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    above = f"../{tmp_path.name}/images/c.png"
    rows = ["images\\a.png,x,,", "~/images/b.png,y,,", f"{above},x,,", '"images/d.png",y,,', "images/e.png,x,,"]
    path = Path(write("path,label,,", *rows))
    path.write_text(path.read_text().rstrip("\n"))  # no newline at the end
    images = listed(path=str(path)).splits["train"]
    assert images.ids[:3] == ("images\\a.png", "~/images/b.png", above)
    assert [Path(images.address(i)).resolve().name[0] for i in range(len(images))] == list("abcde")


def test_lines_are_those_of_the_file_and_a_cell_may_hold_several(write) -> None:
    source = listed(path=write("path,label", 'images/a.png,"x\ny"', "images/b.png,z\u2028w", "images/c.png,v\x0bv"))
    assert source.classes == ("v\x0bv", "x\ny", "z\u2028w")


def test_the_nearest_name_is_looked_for_in_the_mistakes_that_are_told(write, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(csv_files, "nearest", lambda name, allowed: looked.append(name) or "")
    rows = [f"images/a.png,{i},tset" for i in range(2_000)]
    with pytest.raises(UserError, match="and 5981 more"):
        listed(path=write("path,label,split", "images/b.png,x,train", *rows))
    assert len(looked) <= 20


def test_a_column_of_texts_is_no_column_of_labels(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files, "LARGEST_TABLE", 5)
    with pytest.raises(UserError, match="3 different labels of 2 images; a label is a class, which many share"):
        listed(path=write("path,labels", "images/a.png,x|y", "images/b.png,z"))
