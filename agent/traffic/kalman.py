"""One coordinate that moves at a nearly constant rate: a Kalman filter of two numbers.

Source: Bar-Shalom, Li and Kirubarajan, Estimation with Applications to Tracking and Navigation (2001), 6.3.2: the
discrete white-noise acceleration model. Plain floats: for so few numbers they are faster than arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Motion:
    """value and its rate a second, with their variances and covariance."""

    value: float
    rate: float
    value_var: float
    cross_var: float
    rate_var: float

    @classmethod
    def at(cls, value: float, std: float, rate_std: float) -> Motion:
        """First seen at value; its rate is not known better than rate_std around 0."""
        return cls(value, 0.0, std * std, 0.0, rate_std * rate_std)

    @property
    def rate_std(self) -> float:
        return math.sqrt(max(0.0, self.rate_var))

    def after(self, elapsed_s: float, acceleration_std: float) -> Motion:
        t, q = elapsed_s, acceleration_std * acceleration_std
        return Motion(
            self.value + t * self.rate,
            self.rate,
            self.value_var + 2 * t * self.cross_var + t * t * self.rate_var + q * t**4 / 4,
            self.cross_var + t * self.rate_var + q * t**3 / 2,
            self.rate_var + q * t * t,
        )

    def seen(self, measured: float, std: float) -> Motion:
        spread = self.value_var + std * std
        gain, rate_gain = self.value_var / spread, self.cross_var / spread
        surprise = measured - self.value
        return Motion(
            self.value + gain * surprise,
            self.rate + rate_gain * surprise,
            (1 - gain) * self.value_var,
            (1 - gain) * self.cross_var,
            self.rate_var - rate_gain * self.cross_var,
        )

    def slowed(self, share: float) -> Motion:
        """The same with this share of its rate: what was last known of a rate goes stale."""
        return Motion(self.value, self.rate * share, self.value_var, self.cross_var, self.rate_var)
