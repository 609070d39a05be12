"""The clock of the simulation: a number that is moved, and that some days goes wrong."""

SECOND = 1_000_000


class Clock:
    """µs UTC as the ledgers are told. `now` is the true time; `wrong_by` is what the machine's clock is off."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.wrong_by = 0
        self.wrong_until = 0

    def __call__(self) -> int:
        """The time that the machine shows."""
        return self.now + self.wrong_by

    def move_to(self, moment: int) -> None:
        """Let time pass until a moment; nothing happens where it is past."""
        self.now = max(self.now, moment)
        if self.wrong_by and self.now >= self.wrong_until:
            self.wrong_by = 0

    def pass_seconds(self, seconds: int) -> None:
        """Let so many seconds pass."""
        self.move_to(self.now + seconds * SECOND)

    def step_back(self, seconds: int, hours: int) -> None:
        """Set the machine's clock back for some hours."""
        self.wrong_by = -seconds * SECOND
        self.wrong_until = self.now + hours * 3600 * SECOND

    def put_right(self) -> None:
        """Show the true time again."""
        self.wrong_by = 0
