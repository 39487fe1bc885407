import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import vit
from vit.comparison.pictures import pictures_of
from vit.comparison.plan import plan
from vit.comparison.recipes import names_of
from vit.errors import UserError
from vit.files import read_json
from vit.recipe import Comparison, load_comparison
from vit.report.results import from_plain
from vit.report.write import write

Untimed = Callable[[Path], dict]
OTHER_VIT = {"schedule.epochs": 3, "schedule.warmup_epochs": 1, "data.fraction": 0.6, "optimizer.lr": 0.001}


def test_the_comparison_folder_holds_what_the_contract_says(report: Path, timed: set[str]) -> None:
    assert {"report.html", "report.md", "results.json", "results.csv", "runs"} <= {p.name for p in report.iterdir()}
    results = read_json(report / "results.json")
    promised = {"models", "pairs", "data_efficiency", "calibration", "robustness", "ledger"}
    assert promised <= results.keys()
    model = results["models"][0]
    assert {"name", "family", "parameters", "macs", "top1", "ece", "nll"} | timed <= model.keys()
    assert {"mean", "std", "low", "high", "seeds"} == model["top1"].keys()
    assert [model["family"] for model in results["models"]] == ["vit", "cnn"]
    (pair,) = results["pairs"]
    assert {"a", "b", "difference", "low", "high", "p_value", "p_adjusted", "verdict", "winner"} <= pair.keys()
    assert len(results["data_efficiency"]) == 4


def test_the_numbers_are_those_of_the_runs(report: Path) -> None:
    results = read_json(report / "results.json")
    for model in results["models"]:
        found = [
            read_json(
                report / "runs" / f"digits_{model['name']}" / f"fraction-0.6-seed-{seed}" / "evaluation" / "test.json"
            )["top1"]
            for seed in (0, 1)
        ]
        assert model["top1"]["seeds"] == pytest.approx(found)
        assert model["top1"]["mean"] == pytest.approx(sum(found) / 2)
    with (report / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["top1_mean"]) for row in rows] == [r["top1"]["mean"] for r in results["data_efficiency"]]


def test_the_ledger_names_what_differs(report: Path) -> None:
    ledger = read_json(report / "results.json")["ledger"]
    assert ledger["only_models_differ"]
    assert "model.name" in {row["key"] for row in ledger["differences"]}
    assert ledger["matched"]["optimizer.lr"] == 0.002


def test_the_same_command_gives_the_same_results(
    comparison: Path, report: Path, untimed: Untimed, tmp_path: Path
) -> None:
    assert untimed(vit.compare(comparison, out=tmp_path)) == untimed(report)


def test_what_is_done_is_not_done_again(comparison: Path, report: Path, untimed: Untimed, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(report, folder)
    kept = folder / "runs" / "digits_vit" / "fraction-0.6-seed-0" / "model.safetensors"
    lost = folder / "runs" / "digits_vit" / "fraction-0.6-seed-1"
    written = kept.stat().st_mtime_ns
    shutil.rmtree(lost)
    vit.compare(comparison, out=folder)
    assert kept.stat().st_mtime_ns == written
    assert lost.is_dir()
    assert untimed(folder) == untimed(report)


def test_finished_runs_are_compared(report: Path, untimed: Untimed, tmp_path: Path) -> None:
    runs = sorted((report / "runs").glob("*/fraction-0.6-seed-*"))
    results = untimed(vit.compare(runs, out=tmp_path))
    expected = untimed(report)
    for name, ours in zip(("vit", "resnet_cifar_se"), expected["models"], strict=True):
        found = next(model for model in results["models"] if model["name"] == name)
        assert found["top1"] == ours["top1"]
    pair = results["pairs"][0]
    assert {abs(pair["difference"])} == {abs(expected["pairs"][0]["difference"])}


def test_runs_of_other_settings_are_other_models(report: Path, digits_run, untimed: Untimed, tmp_path: Path) -> None:
    other = vit.train("digits_vit", out=tmp_path / "other", overrides=OTHER_VIT, quiet=True)
    vit.evaluate(other.path)
    run = report / "runs" / "digits_vit" / "fraction-0.6-seed-0"
    results = untimed(vit.compare([run, other.path], out=tmp_path / "out"))
    assert [model["name"] for model in results["models"]] == ["vit", "vit_2"]
    assert {row["key"] for row in results["ledger"]["differences"]} == {"model.drop_path", "optimizer.lr"}
    with pytest.raises(UserError, match="are the same training"):
        vit.compare([run, run], out=tmp_path / "twice")


def test_other_settings_do_not_mix_into_a_folder(comparison: Path, report: Path) -> None:
    before = (report / "results.json").read_bytes()
    with pytest.raises(UserError, match="started with other settings"):
        vit.compare(comparison, out=report, overrides={"optimizer.lr": 0.1})
    assert (report / "results.json").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipes: [digits_vit, cifar10_resnet18]", r"data\.name is digits in digits_vit and cifar10"),
        ("recipes: [digits_vit, digits_vit]", "digits_vit is given twice"),
        ("recipes: [digits_vit, digits_resnett]", "did you mean digits_resnet"),
        ("recipes: [digits_vit]\nfractions: [2]", r"fractions\.0: should be less than or equal to 1"),
        ("recipes: [digits_vit]\noverrides: {training.seed: 3}", "is what a comparison varies; set seeds instead"),
        ("recipes: [digits_vit]\noverrides: {model.dept: 3}", "did you mean depth"),
        ("recipes: []", "recipes: list should have at least 1 item"),
    ],
)
def test_a_mistake_leaves_nothing_behind(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        vit.compare(tmp_path / "wrong.yaml", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_that_were_not_evaluated_are_named(digits_run, tmp_path: Path) -> None:
    run = shutil.copytree(digits_run.path, tmp_path / "run")
    shutil.rmtree(run / "evaluation", ignore_errors=True)
    with pytest.raises(UserError, match="not evaluated yet.*vit evaluate"):
        vit.compare([run], out=tmp_path / "out")


def hear_interrupts() -> None:
    """A shell's background job ignores Ctrl-C, and so would all it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_comparison_says_how_to_continue(
    comparison: Path, report: Path, untimed: Untimed, tmp_path: Path
) -> None:
    folder = tmp_path / "interrupted"
    command = [sys.executable, "-m", "vit", "compare", str(comparison), "--out", str(folder)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=hear_interrupts
    )
    deadline = time.monotonic() + 120
    while not list(folder.glob("runs/*/*/summary.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does, to every process of the command
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert f"continue with:\n  vit compare {comparison} --out {folder}" in errors
    assert "Traceback" not in errors
    subprocess.run(command, check=True, capture_output=True)
    assert untimed(folder) == untimed(report)


def test_the_markdown_twin_holds_the_same_tables(report: Path) -> None:
    text = (report / "report.md").read_text(encoding="utf-8")
    results = read_json(report / "results.json")
    for model in results["models"]:
        assert f"| {model['name']} | " in text
        assert f"{100 * model['top1']['mean']:.1f} %" in text
    for line in text.splitlines():
        if line.startswith("!["):
            assert (report / line.split("(")[1].rstrip(")")).is_file()


def test_the_report_follows_from_the_results_and_the_pictures_alone(report: Path, tmp_path: Path) -> None:
    """Every number of the page is in results.json, then; and the same results give the same bytes."""
    results = from_plain(read_json(report / "results.json"))
    pictures = pictures_of(results, plan(load_comparison(report / "comparison.yaml"), report))
    assert pictures.images and pictures.maps
    write(tmp_path, results, pictures)
    names = [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert {"report.html", "report.md", "tables.tex", "results.json", "results.csv"} <= set(map(str, names))
    for name in names:
        assert (tmp_path / name).read_bytes() == (report / name).read_bytes(), name


def test_the_latex_tables_hold_their_columns(report: Path) -> None:
    text = (report / "tables.tex").read_text(encoding="utf-8")
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 4
    for table in text.split(r"\begin{tabular}")[1:]:
        columns = len(re.sub(r"p\{.*?\}", "p", table.splitlines()[0]).strip("{}"))
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert len(rows) >= 2
        assert all(line.count("&") == columns - 1 for line in rows)
    assert r"resnet\_se" in text and "resnet_se" not in text


@pytest.mark.parametrize(
    ("recipes", "names"),
    [
        (["digits_vit", "digits_resnet", "digits_resnet_se"], ["vit", "resnet", "resnet_se"]),
        (["digits_resnet", "digits_resnet_se"], ["resnet", "resnet_se"]),
        (["cifar10_cpu_resnet18_se", "cifar10_cpu_resnet18_eca"], ["resnet18_se", "resnet18_eca"]),
        (["digits_vit", "cifar10_vit_tiny"], ["digits_vit", "cifar10_vit_tiny"]),
        (["digits_vit"], ["digits_vit"]),
    ],
)
def test_models_are_called_by_what_tells_them_apart(recipes: list[str], names: list[str]) -> None:
    assert names_of(Comparison(recipes=recipes)) == names
