"""How many nodes there are, from how close the closest ones are.

For n ids drawn uniformly from a space of size S, the k-th smallest distance d to a random target
has E[(k - 1) S / d] = n (the k-th order statistic of n uniforms is Beta(k, n + 1 - k)). One such
sample has a relative deviation of about 1/sqrt(k - 2) = 24 % at k = 20; the median of several
also bears a minority of targets near which somebody crowds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from overlay.dht.distance import SPACE
from overlay.limits import K
from overlay.rpc.contact import Contact

#: Samples that are kept: a network that doubles is noticed after half as many.
WINDOW = 16
#: Below this many samples a single crowded target could still decide.
MIN_SAMPLES = 5
#: Lookups in a row that met fewer than k nodes before a size estimated earlier is given up:
#: one of them may just be a network that was down.
SHORT_IN_A_ROW = 3


class SizeEstimate:
    """Give it lookups whose targets nobody else chose: whoever chooses a target can crowd it."""

    __slots__ = ("_k", "_samples", "_short", "_small")

    def __init__(self, *, k: int = K) -> None:
        self._k = k
        self._samples: deque[int] = deque(maxlen=WINDOW)
        #: Exact number of nodes, from the last lookup that met fewer than k others; None if it met k.
        self._small: int | None = None
        self._short = 0

    def add_lookup(self, target: int, closest: Sequence[Contact], *, own: int) -> None:
        """A finished lookup and the (at most k) nearest that answered it; `own` is our own number."""
        if len(closest) < self._k:
            self._short += 1
            if not self._samples or self._short >= SHORT_IN_A_ROW:
                self._samples.clear()
                self._small = len(closest) + 1
            return
        self._short = 0
        self._small = None
        distances = [contact.number ^ target for contact in closest[: self._k]]
        if own != target:  # we are one of the nodes, but our own id is no random place
            distances.append(own ^ target)
        self._samples.append((self._k - 1) * SPACE // max(1, sorted(distances)[self._k - 1]))

    @property
    def trusted(self) -> bool:
        return self._small is not None or len(self._samples) >= MIN_SAMPLES

    @property
    def estimate(self) -> int | None:
        """Nodes of the network with ourselves, exact if fewer than k others; None if nothing is known."""
        if self._small is not None:
            return self._small
        if not self._samples:
            return None
        ordered = sorted(self._samples)
        middle = len(ordered) // 2
        # The mean of the two middle ones: the upper alone would be biased upward.
        median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2
        return max(median, self._k + 1)

    def radius(self, nodes: int) -> int | None:
        """Distance within which `nodes` nodes are expected around a point; None until trusted."""
        total = self.estimate
        if total is None or not self.trusted:
            return None
        return min(SPACE - 1, SPACE * nodes // total)
