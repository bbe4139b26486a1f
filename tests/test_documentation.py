"""The Python blocks of README and of every page are run, one page after the other, each in a namespace of its own."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "howto").glob("*.md"))]
_BLOCK = re.compile(r"^(?:<!-- (?P<why>[^>]*) -->\n)?```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)

NEEDED = {"AMUSE": "amuse"}
"""Words in a comment `<!-- needs X -->` before a block, and the package without which the page is not run."""


def blocks_of(page: Path) -> list[tuple[int, str, str]]:
    """Line, code and the comment before it, of each block of Python."""
    text = page.read_text(encoding="utf-8")
    return [
        (text[: match.start("code")].count("\n"), match["code"], match["why"] or "") for match in _BLOCK.finditer(text)
    ]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks_of(p)], ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for line, code, why in blocks_of(page):
        if why.startswith("needs "):
            pytest.importorskip(NEEDED[why.removeprefix("needs ")])
        elif why.startswith("a part: "):
            continue  # of a program that is the reader's
        exec(compile("\n" * line + code, str(page), "exec"), namespace)


def test_a_part_is_rare():
    parts = [why for page in PAGES for _, _, why in blocks_of(page) if why.startswith("a part: ")]
    assert len(parts) <= 8, parts
