"""The pages as a site, opened as files in a real browser: whole, quiet, as narrow as a telephone, and searched."""

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Browser, Page

pytest.importorskip("mkdocs")
pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


def opened(browser: Browser, width: int) -> tuple[Page, list[str]]:
    """Return a page of that width, and the list of what it will complain of and ask other hosts for."""
    page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else heard.append(asked.url))
    return page, heard


def test_every_page_is_whole_and_quiet_on_a_telephone(site: Path, browser: Browser) -> None:
    page, heard = opened(browser, 400)
    pages = [path for path in sorted(site.glob("*.html")) if path.name != "404.html"]  # which a server alone shows
    assert len(pages) > 10
    for path in pages:
        page.goto(path.as_uri())
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        broken = page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
        targets = page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href.split('#')[0])")
        dead = {
            link for link in targets if link.startswith("file:") and not Path(unquote(urlsplit(link).path)).exists()
        }
        assert (wider, broken, dead, heard) == (0, [], set(), []), path


def test_it_is_searched_without_a_server(site: Path, browser: Browser) -> None:
    page, heard = opened(browser, 1300)
    page.goto((site / "index.html").as_uri())
    page.click(".md-search__input")
    page.locator(".md-search__input").press_sequentially("data.on_error")
    found = page.locator(".md-search-result__link:visible")
    found.first.wait_for()
    assert any("guide.html" in (link.get_attribute("href") or "") for link in found.all())
    assert heard == []
