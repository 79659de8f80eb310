"""What a look at the data found, and the table of it."""
from collections.abc import Sequence
from dataclasses import dataclass, field

#: How many examples of a finding the table shows.
EXAMPLES = 3


class FinetuneError(ValueError):
    """The data or the command line can't be used. The message is one line that says what is wrong and what helps."""


@dataclass
class Finding:
    """One kind of thing found.

    Attributes:
        what: Its name.
        serious: Whether training should not go on with it: the samples are bad, and left out with ``--skip-bad``.
        examples: Where it was found.
    """
    what: str
    serious: bool
    examples: list[str] = field(default_factory=list)


class Findings:
    """Collects what is found, and what the data consist of.

    Attributes:
        found: By name, in the order in which they came.
        facts: What the data consist of, by name.
    """

    def __init__(self):
        self.found: dict[str, Finding] = {}
        self.facts: dict[str, str] = {}

    def bad(self, what: str, where: object) -> None:
        """Note a sample that can't be trained with."""
        self.found.setdefault(what, Finding(what, serious=True)).examples.append(str(where))

    def note(self, what: str, where: object) -> None:
        """Note something that training can live with."""
        self.found.setdefault(what, Finding(what, serious=False)).examples.append(str(where))

    def count(self, what: str) -> int:
        """How often something was found."""
        return len(self.found[what].examples) if what in self.found else 0

    @property
    def serious(self) -> bool:
        """Whether anything is."""
        return any(finding.serious for finding in self.found.values())

    def rows(self) -> list[tuple[str, str, str, str]]:
        """The table's rows: kind, what, how many, examples. Facts first, then the serious, then notes."""
        rows = [('', name, value, '') for name, value in self.facts.items()]
        for finding in sorted(self.found.values(), key=lambda finding: not finding.serious):
            shown = ', '.join(finding.examples[:EXAMPLES])
            more = len(finding.examples) - EXAMPLES
            rows.append(('BAD' if finding.serious else 'note', finding.what, str(len(finding.examples)),
                         shown + (f' and {more} more' if more > 0 else '')))
        return rows


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text; the last column is as long as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return '\n'.join('  '.join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]]).rstrip()
                     for row in rows)
