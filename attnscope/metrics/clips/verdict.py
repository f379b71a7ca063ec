"""What a difference says in words: one rule for evaluations, contrasts, benchmarks and pages.

A percentile bootstrap leaves out 0 as soon as four discordant pairs have one sign, and an exact test of questions takes
those of one clip for independent. So a verdict needs both: the interval over clips, and every test of the difference.
"""

from __future__ import annotations

MORE, LESS = "helps", "hurts"
NOTHING = "no difference shown"
NO_INTERVAL = "no interval"
NO_TEST = "no test"
LEVEL = 0.05


def verdict(low: float, high: float, *p: float, more: str = MORE, less: str = LESS) -> str:
    """What the interval and the tests of a difference say together (ours).

    Args:
        low: Lower end of the 95 % interval; NaN for none.
        high: Its upper end.
        p: Two-sided p-values of the same difference, at least one; NaN for a test that could not be made.
        more: The word where the difference is shown to be above 0.
        less: The word where it is shown to be below 0.

    Returns:
        `more` or `less` where the interval leaves out 0 and every p is at most 0.05; "no interval" without one; "no
        test" where the interval leaves out 0 and a test could not be made; else "no difference shown".

    Raises:
        TypeError: Without any p.

    >>> verdict(0.008, 0.067, 0.125)
    'no difference shown'
    >>> verdict(0.025, 0.117, 0.0078)
    'helps'
    """
    if not p:
        raise TypeError("a verdict needs at least one p beside the interval")
    if low != low or high != high:
        return NO_INTERVAL
    if not (low > 0 or high < 0):
        return NOTHING
    if any(value != value for value in p):
        return NO_TEST
    if max(p) > LEVEL:
        return NOTHING
    return more if low > 0 else less
