"""The table: a row a figure, with what it must be and what it should be."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Goal:
    """A bound: `must` and `aim` in the figure's own unit, `show` writes it."""

    must: float
    aim: float
    show: str = "{:.2f}"
    most: bool = True  # the figure must be at most this, else at least

    def met(self, figure):
        """How the figure compares."""
        sign = 1 if self.most else -1
        if sign * figure <= sign * self.aim:
            return "aim"
        return "yes" if sign * figure <= sign * self.must else "NO"

    def text(self, bound):
        """A bound as the table has it."""
        return ("<= " if self.most else ">= ") + self.show.format(bound)


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table. `figure` is what the goal is about, or a ratio that has none."""

    what: str
    this: str
    peer: str = "-"
    figure: float | None = None
    goal: Goal | None = None
    raw: object = None  # every round, for the JSON

    def cells(self):
        """What is printed."""
        if self.goal is None:
            ratio = "-" if self.figure is None else f"{self.figure:.2f}x"
            return [self.what, self.this, self.peer, ratio, "-", "-", "-"]
        bounds = [self.goal.text(self.goal.must), self.goal.text(self.goal.aim)]
        return [
            self.what,
            self.this,
            self.peer,
            self.goal.show.format(self.figure),
            *bounds,
            self.goal.met(self.figure),
        ]


HEAD = ["what", "this", "peer", "ratio", "must", "aim", "met?"]


def render(rows):
    """The rows, aligned."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
