"""Renew the tested versions: requirements.txt with hashes for pip, and uv's constraints in pyproject.toml.

    uv run tools/renew_pins.py [--keep]

Takes the newest versions that the project's bounds allow; --keep takes those of requirements.txt where they still fit.
Run `.ci/run` afterwards: a version is pinned because it was seen working.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = ROOT / "pyproject.toml"
COMPILE = ["uv", "pip", "compile", "pyproject.toml", "--universal", "--python-version", "3.11", "--quiet"]
COMPILE += ["--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", "uv run tools/renew_pins.py"]


def main() -> None:
    keep = "--keep" in sys.argv
    before = PROJECT.read_text(encoding="utf-8")
    write_constraints([])  # they would hold every version where it is
    try:
        pins = compile_pins(keep)
    except subprocess.CalledProcessError as error:
        PROJECT.write_text(before, encoding="utf-8")
        sys.exit(f"uv found no versions, and nothing was changed:\n{error.stderr}")
    write_constraints(pins)
    print(f"{len(pins)} versions pinned")


def compile_pins(keep: bool) -> list[str]:
    compile_to("requirements.txt", "--generate-hashes", *([] if keep else ["--upgrade"]))
    everything = compile_to("-", "--group", "dev", "--constraints", "requirements.txt", "--no-annotate", "--no-header")
    return [line for line in everything.splitlines() if re.match(r"[A-Za-z0-9]", line)]


def compile_to(output: str, *arguments: str) -> str:
    target = [] if output == "-" else ["--output-file", output]
    return subprocess.run([*COMPILE, *arguments, *target], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def write_constraints(pins: list[str]) -> None:
    lines = "".join(f"    {quoted(pin)},\n" for pin in pins)
    block = f"constraint-dependencies = [\n{lines}]"
    text = re.sub(r"constraint-dependencies = \[\n(.*\n)*?\]", lambda _: block, PROJECT.read_text(encoding="utf-8"))
    PROJECT.write_text(text, encoding="utf-8")


def quoted(pin: str) -> str:
    """Return a requirement as a TOML string; markers hold single quotes."""
    return f'"{" ".join(pin.split())}"'


if __name__ == "__main__":
    main()
