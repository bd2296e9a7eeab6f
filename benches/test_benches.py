"""What counts as grown, and what a page is given."""

import sys
from pathlib import Path

import pytest

from benches import __main__ as page
from benches import instructions
from benches.__main__ import BEGIN, END, Section

COUNTS = {"start": 1_000_000, "scrape": 2_000_000}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "instructions.toml"
    monkeypatch.setattr(instructions, "KEPT", path)
    monkeypatch.setattr(instructions, "ROOT", tmp_path)
    monkeypatch.setattr(instructions, "compiler", lambda: "rustc 1")
    instructions.record(COUNTS)
    return path


@pytest.mark.usefixtures("kept")
def test_a_count_may_rise_by_a_tenth_and_no_more() -> None:
    assert not instructions.compare(COUNTS | {"scrape": 2_200_000})
    [wrong] = instructions.compare(COUNTS | {"scrape": 2_200_001})
    assert "scrape takes 2_200_001 instructions, 10% more than the 2_000_000 kept" in wrong
    assert "make instructions ARGS=--record" in wrong


@pytest.mark.usefixtures("kept")
def test_another_compiler_is_named_and_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instructions, "compiler", lambda: "rustc 2")
    [wrong] = instructions.compare(COUNTS | {"scrape": 9_000_000})
    assert "those of rustc 1, and this is rustc 2" in wrong
    assert "9_000_000" not in wrong


@pytest.mark.usefixtures("kept")
def test_a_count_that_is_kept_has_to_be_made() -> None:
    [wrong] = instructions.compare({"start": 1_000_000})
    assert "other counts" in wrong


def test_tables_are_written_between_the_marks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "numbers.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    monkeypatch.setattr(page, "PAGE", path)
    page.write("new")
    assert path.read_text() == f"before\n{BEGIN}\n\nnew\n{END}\nafter\n"
    path.write_text("a page without marks")
    with pytest.raises(AssertionError, match="has no"):
        page.write("new")


def test_a_table_that_lacks_a_row_is_a_failure() -> None:
    program = 'print("| a |\\n|---|\\n| 1 |\\n\\n| b |\\n|---|\\n| 2 |\\n| 3 |")'
    command: list[str | Path] = [sys.executable, "-c", program]
    assert Section("both", command, [1, 2]).tables().count("|---|") == 2
    with pytest.raises(AssertionError, match=r"\[1, 2\] rows, not \[2, 2\]"):
        Section("both", command, [2, 2]).tables()
