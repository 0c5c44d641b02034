"""What was reckoned, put right by what it took lately."""

from __future__ import annotations

from dataclasses import dataclass

MOST_WRONG = 10.0
MOMENT_S = 0.1
KEPT, FORGOTTEN = 0.8, 0.95
# What the fit needs to see before it leaves "no wait, as reckoned": so many prompts, and so many square seconds.
FIRM_PROMPTS, FIRM_S2 = 0.1, 10.0


@dataclass(frozen=True)
class Corrected:
    """A prompt took wait + factor * reckoned: a ridge regression over those seen lately, each newer one weighing more.
    The wait is for others and tells in short prompts; what the machine does besides tells in long ones. With one factor
    for both, a few short prompts that waited for one another would make long ones look many times as long as they are.

    prompts, reckoned_s, squares_s2, late_s, late_reckoned_s2: decayed sums of 1, x, x^2, y and x y, where x is what was
    reckoned and y how much longer it took."""

    prompts: float = 0.0
    reckoned_s: float = 0.0
    squares_s2: float = 0.0
    late_s: float = 0.0
    late_reckoned_s2: float = 0.0

    def seen(self, reckoned_s: float, took_s: float) -> Corrected:
        late_s = min(took_s, MOST_WRONG * (reckoned_s + MOMENT_S)) - reckoned_s
        return Corrected(
            KEPT * self.prompts + 1,
            KEPT * self.reckoned_s + reckoned_s,
            KEPT * self.squares_s2 + reckoned_s**2,
            KEPT * self.late_s + late_s,
            KEPT * self.late_reckoned_s2 + reckoned_s * late_s,
        )

    def unseen(self) -> Corrected:
        """A prompt went the other way: what was wrong once is not for ever."""
        late_s, late_reckoned_s2 = FORGOTTEN * self.late_s, FORGOTTEN * self.late_reckoned_s2
        return Corrected(self.prompts, self.reckoned_s, self.squares_s2, late_s, late_reckoned_s2)

    def seconds(self, reckoned_s: float) -> float:
        """What a prompt that is reckoned to take so long is expected to take."""
        prompts, squares_s2 = self.prompts + FIRM_PROMPTS, self.squares_s2 + FIRM_S2
        determinant = prompts * squares_s2 - self.reckoned_s**2
        wait_s = (squares_s2 * self.late_s - self.reckoned_s * self.late_reckoned_s2) / determinant
        more = (prompts * self.late_reckoned_s2 - self.reckoned_s * self.late_s) / determinant
        return max(reckoned_s / MOST_WRONG, wait_s + (1 + more) * reckoned_s)


UNSEEN = Corrected()
