"""What is measured, as it stands in docs/numbers.md."""

from dataclasses import dataclass, field


@dataclass
class Table:
    heading: list[str]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        assert len(cells) == len(self.heading), cells
        self.rows.append(cells)

    def __str__(self) -> str:
        lines = [self.heading, ["---"] * len(self.heading), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
