"""A page in a real browser, with what it complains of and asks for."""

from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, Page


@dataclass
class Visit:
    """A page that is shown, and what it complained of and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def visited(context: BrowserContext, address: str) -> Visit:
    """Open a page, and listen to it from before its first request."""
    visit = Visit(context.new_page())
    visit.page.on("console", lambda message: visit.complaints.append(message.text))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("request", lambda asked: visit.requests.append(asked.url))
    visit.page.goto(address)
    return visit
