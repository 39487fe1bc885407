"""Images listed in CSV files: what is read, and every mistake of a list, told at once."""

from pathlib import Path

import numpy as np
import pytest

from vit.data import datasets
from vit.data.csv_files import listed
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
    told += ["tset; did you mean test?", "split is empty", "listed 2 times", "no path", "no image of train is xy"]
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
