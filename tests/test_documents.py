"""The documents point at what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DECISIONS = ROOT / "docs" / "decisions"
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DECISIONS.glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_into_the_project_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8"))
    lost = [link for link in links if "://" not in link and not (document.parent / link).exists()]

    assert lost == []


def test_every_decision_is_listed_by_its_title_and_in_order() -> None:
    listed = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.+?) \|", (DECISIONS / "README.md").read_text(), re.MULTILINE)
    written = [
        (path.name[:4], path.name, re.sub(r"^# \d{4}\W+", "", path.read_text(encoding="utf-8").splitlines()[0]))
        for path in sorted(DECISIONS.glob("[0-9]*.md"))
    ]

    assert listed == written


def test_every_target_that_readme_names_can_be_made() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(
        re.findall(r"\bmake\s([a-z]+)\b", " ".join(re.findall(r"`{1,3}[^`]*`", (ROOT / "README.md").read_text())))
    )

    assert named
    assert named <= targets
