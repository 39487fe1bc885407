"""The report's files, from results that are kept."""

import errno
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from vit.files import json_text
from vit.report import caveats, write
from vit.report.pictures import Pictures
from vit.report.results import from_plain, to_plain

DOCS = Path(__file__).parents[2] / "docs"
KEPT = DOCS / "example" / "results.json"


def test_results_that_are_kept_are_read_and_written_back_byte_for_byte() -> None:
    text = KEPT.read_text(encoding="utf-8")
    assert json_text(to_plain(from_plain(json.loads(text)))) == text


@pytest.mark.parametrize("key", ["pairs", "ledger", "training"])
def test_results_without_a_key_are_refused(key: str) -> None:
    values = json.loads(KEPT.read_text(encoding="utf-8"))
    del values[key]
    with pytest.raises(ValidationError, match=f"{key}\n  Field required"):
        from_plain(values)


def test_a_bar_in_a_name_ends_no_cell_of_a_markdown_table(tmp_path: Path) -> None:
    text = KEPT.read_text(encoding="utf-8").replace('"resnet_eca"', '"eca|narrow"')
    write.write(tmp_path, from_plain(json.loads(text)), Pictures())
    written = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert r"eca\|narrow" in written
    tables = re.findall(r"(?:^\|.*\n)+", written, flags=re.M)
    assert len(tables) > 5
    for table in tables:
        columns = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(columns) == 1, table


def test_names_from_files_are_no_markup(tmp_path: Path) -> None:
    results = json.loads(KEPT.read_text(encoding="utf-8").replace('"resnet_eca"', '"eca<b>[x](y)"'))
    results["title"] = "two\n\\input{secrets} 50 %"
    results["data"]["skipped"] = [{"path": "a`b.png", "reason": "cut\n\n# off <script>alert(1)</script>"}]
    write.write(tmp_path, from_plain(results), Pictures())
    written = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "`a'b.png`: cut  # off &lt;script>alert(1)&lt;/script>\n" in written
    assert "eca&lt;b>[x]\\(y)" in written and "<script" not in written and "](y)" not in written
    tables = (tmp_path / "tables.tex").read_text(encoding="utf-8")
    assert tables.startswith(r"% two \textbackslash{}input\{secrets\} 50 \%, ")


def test_a_disk_that_is_full_leaves_the_former_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = from_plain(json.loads(KEPT.read_text(encoding="utf-8")))
    write.write(tmp_path, results, Pictures())
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    real, calls = Path.write_text, iter(range(1_000))

    def full(self: Path, *more: str, **options: str) -> int:
        if next(calls) == len(before) - 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return real(self, *more, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write.write(tmp_path, replace(results, title="another"), Pictures())
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(("epochs", "told"), [(6, True), (50, True), (51, False), (100, False)])
def test_a_training_much_shorter_than_published_ones_is_told(epochs: int, told: bool) -> None:
    results = json.loads(KEPT.read_text(encoding="utf-8"))
    results["data"] |= {"name": "cifar10", "training_images": 15_680, "test_images": 10_000}
    (row,) = [row for row in results["ledger"]["rows"] if row["key"] == "epochs"]
    row["values"] = dict.fromkeys(row["values"], epochs)
    line = (
        f"Trained for {epochs} epochs on 15,680 images, where published trainings on this data set take 100 to 300: "
        "a longer training may change the order."
    )
    assert (line in caveats.caveats(from_plain(results))) == told


def test_no_line_of_the_page_ends_before_a_percent_sign(tmp_path: Path) -> None:
    write.write(tmp_path, from_plain(json.loads(KEPT.read_text(encoding="utf-8"))), Pictures())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    verdict = page[page.index('id="verdict"') : page.index('id="fairness"')]
    assert re.search("[0-9]\N{NO-BREAK SPACE}%", verdict) and not re.search("[0-9] %", verdict)


@pytest.mark.parametrize("classes", [21, 1_000, 1_001])
def test_a_page_of_many_classes_stays_readable(tmp_path: Path, classes: int) -> None:
    """A row a class up to a thousand, no figure of a million cells, and a page that a browser opens at once."""
    results = from_plain(json.loads(KEPT.read_text(encoding="utf-8")))
    names = [f"class-{i:04}" for i in range(classes)]
    data = replace(results.data, classes=names, test_images_per_class=[50] * classes)
    table = [[0] * classes for _ in range(classes)]
    table[7][7], table[3][20], table[9][4] = 90, 41, 3
    of_models = {model.name: table for model in results.models}
    recalls = {model.name: [1 / 3] * classes for model in results.models}
    large = replace(results, data=data, confusion=of_models, per_class=recalls)
    write.write(tmp_path, large, Pictures())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    listed = 2 if classes <= 1_000 else 0
    assert page.count("<td>class-0007</td>") == listed
    assert page.count("not listed: more than 1,000 classes") == 2 - listed
    confused = re.findall(r'<tr><td>(class-.*?)</td><td class="left">(class-.*?)</td><td>(\d+)</td>', page)
    assert confused == [("class-0003", "class-0020", "41"), ("class-0009", "class-0004", "3")]
    assert "Not drawn: more than 20 classes" in page and not (tmp_path / "figures" / "confusion.svg").exists()
    assert len(page) < 2e6
    assert from_plain(json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))) == large
