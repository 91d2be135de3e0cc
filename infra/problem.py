"""What stops a command, as a sentence that says what happened and one that says how to mend it."""


class Problem(Exception):
    """A command cannot go on.

    Args:
        what: what is wrong, in one sentence.
        mend: what the reader can do about it, in one sentence; may be empty.
    """

    def __init__(self, what: str, mend: str = "") -> None:
        self.what = what
        self.mend = mend
        super().__init__(f"{what} {mend}".rstrip())


class Problems(Exception):
    """Several problems, found together."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))
