"""Which shard is given out next, and how often one may fail before the job ends."""

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence

DEATHS_BEFORE_GIVING_UP = 3
"""Of processes that scored the same shard, while their machines stayed."""
_LOSSES_BEFORE_GIVING_UP = 10
"""Of attempts at the same shard for whatever reason: it may be what takes the machines down."""
_PATIENCE_SECONDS = 10.0
"""For a shard that another process holds, after everything else is done."""
_PATIENCE_AFTER_LOSS_SECONDS = 120.0
"""Where that process may be one of ours that is dying: a file server lets go of a lost machine's locks after 90 s (NFS 4)."""
_FIRST_DELAY_SECONDS, _LAST_DELAY_SECONDS = 0.25, 10.0


class ShardQueue:
    """Places of shards, in order: each is taken, and then ended, held or lost.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, places: Sequence[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ready = deque(places)
        self._later: dict[int, float] = {}
        self._taken: set[int] = set()
        self._losses: dict[int, list[tuple[str, bool]]] = {}  # on which machine, and whether the process died
        self._held: dict[int, list[float]] = {}
        self.left_alone: list[int] = []

    @property
    def open(self) -> int:
        """How many shards are neither ended nor left to another process."""
        return len(self._ready) + len(self._later) + len(self._taken)

    @property
    def losses(self) -> int:
        """How many attempts were lost."""
        return sum(map(len, self._losses.values()))

    def take(self) -> int | None:
        """The next shard; None where none is ready."""
        now = self._clock()
        due = [place for place, when in self._later.items() if when <= now]
        for place in due:
            del self._later[place]
            self._ready.append(place)
        if not self._ready:
            return None
        place = self._ready.popleft()
        self._taken.add(place)
        return place

    def end(self, place: int) -> None:
        """It is whole."""
        self._taken.remove(place)

    def hold(self, place: int) -> None:
        """Another process is at work on it: look again later, or leave it alone if nothing else is left to do."""
        self._taken.remove(place)
        now = self._clock()
        seen = self._held.setdefault(place, [])
        seen.append(now)
        patience = _PATIENCE_AFTER_LOSS_SECONDS if place in self._losses else _PATIENCE_SECONDS
        if now - seen[0] >= patience and not self._ready and not self._taken:
            self.left_alone.append(place)
            return
        delay = min(_FIRST_DELAY_SECONDS * 2 ** min(len(seen) - 1, 10), _LAST_DELAY_SECONDS)
        self._later[place] = now + delay

    def lose(self, place: int, node: str, *, process_died: bool) -> None:
        """The worker that scored it is gone. It is the next to be given out.

        Args:
            node: the machine it ran on. `process_died`: False where the machine is gone too, or cannot be reached.
        """
        self._taken.remove(place)
        self._losses.setdefault(place, []).append((node, process_died))
        self._held.pop(place, None)
        self._ready.appendleft(place)

    def is_given_up(self, place: int, living: Collection[str]) -> bool:
        """Whether it ended too many workers. A machine that was lost took its shard with it, and not the other way round."""
        losses = self._losses.get(place, ())
        deaths = sum(process_died and node in living for node, process_died in losses)
        return deaths >= DEATHS_BEFORE_GIVING_UP or len(losses) >= _LOSSES_BEFORE_GIVING_UP
