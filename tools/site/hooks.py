"""What makes a site of the repository's pages, as mkdocs.yml asks for it; the pages stay as a code host shows them.

README, CONTRIBUTING and CHANGELOG join those of docs/. A link to any other file of the repository leads to a page that
shows it, and one to a report's Markdown to the report itself.
"""

import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
ASSETS = ("site.css", "iframe-worker.js")
JOINED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LANGUAGES = {".py": "python", ".yaml": "yaml", ".sh": "bash"}
AS_IT_IS = (".json",)  # browsers fold and search it
TARGET = re.compile(r"(?<=\]\()[^)#\s]+")
NESTED = re.compile(r"^  (?=- |  )", re.M)  # a code host takes two spaces, Python's Markdown four


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, page in JOINED.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    for name in ASSETS:
        files.append(File.generated(config, f"assets/{name}", abs_src_path=str(Path(__file__).parent / name)))
    for path in sorted({path for page in files.documentation_pages() for path in linked(page)}):
        show(path, files, config)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    origin = path_of(page.file)
    if origin is None:
        return markdown
    if origin == "CHANGELOG.md":
        markdown = NESTED.sub("    ", markdown)
    here = posixpath.dirname(page.file.src_uri)

    def on_the_site(target: re.Match[str]) -> str:
        path = resolved(target[0], origin)
        return target[0] if path is None else posixpath.relpath(place(path), here)

    return TARGET.sub(on_the_site, markdown)


def path_of(page: File) -> str | None:
    """Return the page's path in the repository; None for one that is made here."""
    path = page.abs_src_path
    return None if path is None else Path(os.path.relpath(path, ROOT)).as_posix()


def linked(page: File) -> list[str]:
    """Return the paths in the repository, of files and folders, that a page links to."""
    origin = path_of(page)
    targets = TARGET.findall(page.content_string) if origin else []
    return [path for target in targets if (path := resolved(target, origin or ""))]


def resolved(target: str, origin: str) -> str | None:
    """Return the path in the repository of what a page at `origin` links to; None where it is elsewhere."""
    if "://" in target:
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
    return path if (ROOT / path).exists() else None


def place(path: str) -> str:
    """Return where a path of the repository is on the site."""
    if path in JOINED:
        return JOINED[path]
    if path.startswith("docs/") and (ROOT / path).is_file():
        return without_twin(path.removeprefix("docs/"))
    return f"files/{path}" if path.endswith(AS_IT_IS) else f"files/{path}.md"


def without_twin(page: str) -> str:
    """Return a page's path below docs/, or that of the HTML beside it, which says the same with pictures."""
    html = page.removesuffix(".md") + ".html"
    return html if (ROOT / "docs" / html).is_file() else page


def show(path: str, files: Files, config: MkDocsConfig) -> None:
    """Add the page of a file or folder that has none."""
    at = place(path)
    if files.get_file_from_path(at) is not None:
        return
    if path.endswith(AS_IT_IS):
        files.append(File.generated(config, at, abs_src_path=str(ROOT / path)))
        return
    if (ROOT / path).is_dir():
        inside = [f"{path}/{entry.name}" for entry in sorted((ROOT / path).iterdir()) if entry.is_file()]
        for entry in inside:
            show(entry, files, config)
        here = posixpath.dirname(at)
        body = "\n".join(
            f"- [{posixpath.basename(entry)}]({posixpath.relpath(place(entry), here)})" for entry in inside
        )
    else:
        text = (ROOT / path).read_text(encoding="utf-8")
        body = f"~~~~~~ {LANGUAGES.get(Path(path).suffix, 'text')}\n{text}~~~~~~"
    content = f"---\nsearch: {{exclude: true}}\n---\n\n# {path}\n\n{body}\n"
    files.append(File.generated(config, at, content=content, inclusion=InclusionLevel.NOT_IN_NAV))
