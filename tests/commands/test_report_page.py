"""The report's page in a real browser: complete, offline, narrow and wide; tables sort, galleries open."""

import csv
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser
from visits import Visit, visited

from vit.files import read_json
from vit.report.write import SECTIONS

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
FIGURES = {"accuracy", "confusion", "cost", "learning_curves", "data_efficiency", "reliability", "risk_coverage"}
FIGURES |= {"corruptions", "changes", "attention_distance", "positions", "receptive_fields"}


@pytest.fixture
def visit(browser: Browser, report: Path, request: Any) -> Iterator[Visit]:
    context = browser.new_context(**getattr(request, "param", {"viewport": {"width": 1400, "height": 900}}))
    visit = visited(context, (report / "report.html").as_uri())
    yield visit
    context.close()


@pytest.mark.parametrize(
    "visit", [{"viewport": {"width": width, "height": 900}} for width in (360, 1400)], indirect=True
)
def test_the_page_is_whole_and_quiet_at_any_width(visit: Visit) -> None:
    page = visit.page
    titles = [re.sub(r"^\d+ ", "", title) for title in page.locator("section > h2").all_inner_texts()]
    assert [title.lower() for title in titles] == [title.lower() for title in SECTIONS.values()]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert visit.complaints == []
    assert all(url.startswith(("file:", "data:")) for url in visit.requests)


@pytest.mark.parametrize(
    "visit", [{"viewport": {"width": width, "height": 900}} for width in (360, 1400)], indirect=True
)
def test_the_verdict_says_what_to_take_and_its_table_needs_no_scrolling(visit: Visit, report: Path) -> None:
    page, results = visit.page, read_json(report / "results.json")
    takes = page.locator("#verdict .advice .take").all_inner_texts()
    assert len(takes) == len(results["recommendations"]) == 3 and takes[2] == "Not measured"
    table = page.locator("#verdict .contestants")
    assert table.locator("tbody tr").count() == len(results["models"])
    assert table.evaluate("node => node.parentElement.scrollWidth <= node.parentElement.clientWidth")
    shown = table.inner_text()
    for model in results["models"]:
        assert model["model_bytes"] > 100_000 and f"{model['model_bytes'] / 1e6:.1f} MB" in shown
    for row in results["robustness"]:
        assert f"{100 * row['corrupted']['mean']:.1f}" in shown


def test_answers_are_explained_side_by_side(visit: Visit, report: Path) -> None:
    page, results = visit.page, read_json(report / "results.json")
    panel = page.locator("#inside .panel > li")
    galleries = results["agreement"]["galleries"]
    few = [row["id"] for kind, most in zip(galleries.values(), (3, 3, 2), strict=True) for row in kind[:most]]
    assert panel.count() == len(few) > 0
    for i, name in enumerate(few):
        assert name in panel.nth(i).inner_text()
        images = panel.nth(i).locator("img")
        assert images.count() == 3 and images.evaluate_all("all => all.every(one => one.naturalWidth > 0)")
    table = page.locator("#inside table").first.inner_text()
    methods = {(row["model"], row["method"]) for row in results["explanations"]}
    assert methods == {(name, "integrated gradients") for name in ("vit", "resnet_se")} | {
        ("vit", "gradient-weighted attention"),
        ("resnet_se", "HiResCAM"),
    }
    for row in results["explanations"]:
        assert row["images"] == 64 and f"{row['deletion']['mean']:+.2f} [{row['deletion']['low']:+.2f}" in table


def test_all_figures_are_drawn_and_say_what_they_show(visit: Visit) -> None:
    figures = visit.page.locator("figure > svg")
    assert figures.count() == len(FIGURES)
    for i in range(figures.count()):
        box = figures.nth(i).bounding_box()
        assert box is not None and box["width"] > 200 and box["height"] > 80
        assert figures.nth(i).get_attribute("role") == "img"
        assert len(figures.nth(i).get_attribute("aria-label") or "") > 30
        assert figures.nth(i).locator("path, text, image").count() > 15


def test_the_numbers_of_every_figure_can_be_taken_from_the_page(visit: Visit, report: Path) -> None:
    links = visit.page.locator("figure a[download]")
    names = {links.nth(i).get_attribute("download"): links.nth(i).get_attribute("href") for i in range(links.count())}
    assert set(names) == {f"{name}.csv" for name in FIGURES}
    results = read_json(report / "results.json")
    for address in names.values():
        rows = list(csv.DictReader(io.StringIO(urlopen(address or "").read().decode())))
        assert rows and all(row["model"] in {"vit", "resnet_se"} for row in rows)
    with visit.page.expect_download() as download:
        visit.page.locator('a[download="corruptions.csv"]').click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert len(rows) == 2 * 12 * 5
    assert float(rows[0]["top1"]) == results["robustness"][0]["corruptions"][0]["top1"][0]


def test_tables_sort_by_mouse_and_by_keyboard(visit: Visit) -> None:
    table = visit.page.locator("#accuracy table.sortable").first
    names = lambda: table.locator("tbody tr td:first-child").all_inner_texts()  # noqa: E731
    button = table.locator("th button", has_text="top-1")
    values = lambda: [  # noqa: E731
        float(row.get_attribute("data-value") or "") for row in table.locator("tbody tr td:nth-child(3)").all()
    ]
    button.click()
    assert values() == sorted(values())
    upwards = names()
    button.focus()
    visit.page.keyboard.press("Enter")
    assert names() == upwards[::-1] and values() == sorted(values(), reverse=True)
    assert table.locator("th[aria-sort=descending]").count() == 1
    for other in visit.page.locator("table.sortable").all():
        assert other.locator("th button").count() == other.locator("th").count()
    assert visit.complaints == []


def test_galleries_and_details_open(visit: Visit) -> None:
    for details in visit.page.locator("details").all():
        if details.get_attribute("open") is None:
            details.locator("summary").first.click()
        assert details.evaluate("node => node.open")
    for image in visit.page.locator(".gallery img").all():
        assert image.evaluate("node => node.complete && node.naturalWidth > 0")
        assert image.get_attribute("alt")
    assert visit.page.locator(".gallery li").count() == visit.page.locator(".gallery img").count() > 0


def test_links_of_the_contents_lead_to_their_sections(visit: Visit) -> None:
    for link in visit.page.locator("nav a").all():
        assert visit.page.locator(f"section{link.get_attribute('href')}").count() == 1


@pytest.mark.parametrize(
    "visit",
    [{"color_scheme": scheme, "viewport": {"width": 900, "height": 900}} for scheme in ("dark", "light")],
    indirect=True,
)
def test_text_stands_out_in_the_dark_and_in_the_light(visit: Visit) -> None:
    """By WCAG's contrast ratio: 4.5 at least, for all text outside of figures."""
    worst = visit.page.evaluate(CONTRAST)
    assert worst["ratio"] >= 4.5, worst


CONTRAST = """() => {
  const light = (colour) => {
    const part = (value) => { const v = value / 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!colour.startsWith("rgba(0, 0, 0, 0")) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  let worst = { ratio: 99 };
  for (const node of document.querySelectorAll("h1, h2, h3, p, li, td, th, a, summary, figcaption, code, pre")) {
    if (!node.textContent.trim()) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst.ratio) worst = { ratio, text: node.textContent.slice(0, 60), tag: node.tagName };
  }
  return worst;
}"""
