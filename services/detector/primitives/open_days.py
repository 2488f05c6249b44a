"""Windows of so many unmasked days, however many masked ones lie between them."""

import numpy as np

from services.detector.primitives.day import Bools, Ints


def reaches(masked: Bools, days: int, limit: int) -> Ints:
    """Return how far back the window reaches that ends on each day.

    Whoever was away on masked days is judged by as many ordinary days as anybody else: a window
    grows by the masked days in it, to a limit.

    Args:
        masked: Shape (accounts, days); the last column is the judged day.
        days: Unmasked days that a window has.
        limit: Days, masked ones too, that it has at most: then there are fewer unmasked in it.

    Returns:
        Shape (accounts, days), newest first: the window that ends k days before the judged day
        begins so many days before it, less one. Beyond the first column nothing is masked or not:
        there it ends at the limit.
    """
    newest = masked[:, ::-1]
    lags = np.arange(newest.shape[1])
    opened = ~newest
    nth = np.cumsum(opened, axis=1) - opened + days - 1
    # Sorting is stable: the lags of the unmasked days, in order, come before those of the others.
    places = np.argsort(newest, axis=1, kind="stable")
    ends = np.take_along_axis(places, np.minimum(nth, len(lags) - 1), axis=1) + 1
    there = nth < np.count_nonzero(opened, axis=1)[:, np.newaxis]
    found: Ints = np.minimum(np.where(there, ends, lags + limit), lags + limit)
    return found
