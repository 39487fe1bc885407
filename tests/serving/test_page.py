"""The page in a real browser: every way to give it a picture, both answers and why; nothing is asked from elsewhere."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from served import Server
from visits import Visit, visited

from vit.model import load

expect.set_options(timeout=30_000)  # other tests share the processors
pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    visit = visited(context, server.address)
    yield visit
    context.close()
    assert visit.complaints == []
    assert all(url.startswith((server.address, "blob:", "data:")) for url in visit.requests), visit.requests


def answers(page: Page) -> list[list[str]]:
    """Return the names of the bars of every model, once all are there."""
    expect(page.locator(".column")).to_have_count(2)
    for column in page.locator(".column").all():
        expect(column.locator(".bars li")).to_have_count(3)
    return [[bar.inner_text() for bar in column.locator(".bars li").all()] for column in page.locator(".column").all()]


def check(page: Page, models: list[str], picture: Path) -> None:
    for bars, model in zip(answers(page), models, strict=True):
        row = load(model).predict([picture])[0]
        pairs = zip(row["classes"], row["probabilities"], strict=True)
        assert [bar.split("\n") for bar in bars] == [[name, f"{100 * share:.1f} %"] for name, share in pairs]


def test_a_chosen_picture_is_answered_by_both_models(visit: Visit, two_models, pictures) -> None:
    visit.page.set_input_files("#file", pictures[0])
    check(visit.page, two_models, pictures[0])
    widths = [bar.bounding_box() for bar in visit.page.locator(".column").first.locator(".bar").all()]
    assert widths[0] and widths[1] and widths[0]["width"] > widths[1]["width"]


HAND_OVER = """async ([kind, content, type]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], "given", { type }));
  const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: given, bubbles: true })
    : new ClipboardEvent("paste", { clipboardData: given, bubbles: true });
  document.getElementById("drop").dispatchEvent(event);
}"""


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_may_be_dropped_or_pasted(way: str, visit: Visit, two_models, pictures) -> None:
    content = base64.b64encode(pictures[1].read_bytes()).decode()
    visit.page.evaluate(HAND_OVER, [way, content, "image/png"])
    check(visit.page, two_models, pictures[1])


def test_the_keyboard_is_enough(visit: Visit, two_models, pictures) -> None:
    page = visit.page
    page.on("filechooser", lambda chooser: None)  # choosers are caught from here on; else the key may come first
    page.keyboard.press("Tab")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(pictures[2])
    check(page, two_models, pictures[2])
    for _ in range(9):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('why')"):
            break
    page.keyboard.press("Enter")
    expect(page.locator(".faithful")).to_have_count(1, timeout=30_000)


def test_why_shows_a_map_and_how_faithful_it_is(visit: Visit, pictures) -> None:
    page = visit.page
    page.set_input_files("#file", pictures[0])
    answers(page)
    for column in page.locator(".column").all():
        column.locator(".why").click()
    expect(page.locator(".faithful")).to_have_count(2, timeout=30_000)
    assert all("deletion" in line for line in page.locator(".faithful").all_inner_texts())
    sizes = page.locator(".explanation img").evaluate_all("maps => maps.map((one) => one.naturalWidth)")
    assert len(sizes) == 2 and min(sizes) >= 60


CAMERA = """
import shutil, sys
from playwright.sync_api import sync_playwright, expect
arguments = ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
    page = browser.new_context(permissions=["camera"]).new_page()
    page.goto(sys.argv[1])
    page.click("#camera")
    expect(page.locator("#video")).to_be_visible()
    page.wait_for_function("document.getElementById('video').videoWidth > 0")
    page.keyboard.press("Space")
    expect(page.locator(".bars li")).to_have_count(6, timeout=30_000)
    assert page.locator("#name").inner_text() == "from the camera"
    browser.close()
"""


def test_a_picture_comes_from_the_camera(server: Server) -> None:
    """In a process of its own: a browser with a camera that is none, beside the module's."""
    done = subprocess.run([sys.executable, "-c", CAMERA, server.address], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_what_is_no_picture_is_told_on_the_page(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no picture")
    visit.page.set_input_files("#file", tmp_path / "no.png")
    expect(visit.page.locator("#error")).to_contain_text("not an image of a known format")
    visit.complaints[:] = [line for line in visit.complaints if "415" not in line]  # the browser's own line


def test_the_page_is_whole_at_any_width(visit: Visit, pictures) -> None:
    page = visit.page
    for width in (360, 1400):
        page.set_viewport_size({"width": width, "height": 800})
        page.set_input_files("#file", pictures[3])
        answers(page)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_line_for_programs_can_be_copied_and_works(visit: Visit, pictures, tmp_path: Path) -> None:
    page = visit.page
    page.click("summary")
    page.click("#copy")
    copied = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert len(copied) == 2
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    shutil.copy(pictures[0], tmp_path / "photo.jpg")
    said = subprocess.run(copied[1], shell=True, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert json.loads(said)["model"] == "cnn"
