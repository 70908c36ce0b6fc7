"""Every shard is given out until it is whole, and no longer than it may end workers."""

from driftgate.engines.shard_queue import ShardQueue


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_shards_are_given_out_in_order_and_each_is_ended_once() -> None:
    queue = ShardQueue([3, 1, 2])
    assert [queue.take() for _ in range(4)] == [3, 1, 2, None]
    assert queue.open == 3
    for place in (1, 3, 2):
        queue.end(place)
    assert (queue.open, queue.losses, queue.left_alone) == (0, 0, [])


def test_a_lost_shard_is_the_next_one() -> None:
    queue = ShardQueue([0, 1, 2])
    queue.take()
    queue.lose(0, "a", process_died=True)
    assert [queue.take(), queue.take()] == [0, 1]
    assert queue.losses == 1


def test_three_processes_that_died_while_their_machines_stayed_are_enough() -> None:
    queue = ShardQueue([0])
    for attempt in range(3):
        assert not queue.is_given_up(0, {"a", "b"})
        assert queue.take() == 0
        queue.lose(0, "ab"[attempt % 2], process_died=True)
    assert queue.is_given_up(0, {"a", "b"})


def test_machines_that_were_lost_do_not_count_as_attempts_of_the_shard() -> None:
    queue = ShardQueue([0])
    for node in ("a", "b", "c", "d"):
        queue.take()
        queue.lose(0, node, process_died=True)
    assert not queue.is_given_up(0, {"d", "e"})
    for _ in range(4):
        queue.take()
        queue.lose(0, "d", process_died=False)
    assert not queue.is_given_up(0, {"d", "e"})


def test_a_shard_that_takes_every_machine_with_it_is_given_up_in_the_end() -> None:
    queue = ShardQueue([0])
    given_up = []
    for attempt in range(10):
        queue.take()
        queue.lose(0, f"node {attempt}", process_died=True)
        given_up.append(queue.is_given_up(0, set()))
    assert given_up == [False] * 9 + [True]


def test_a_shard_that_another_process_holds_is_looked_at_again_and_then_left_alone() -> None:
    clock = Clock()
    queue = ShardQueue([0, 1], clock)
    assert (queue.take(), queue.take()) == (0, 1)
    queue.hold(0)
    assert queue.take() is None  # not at once
    clock.now += 60
    assert queue.take() == 0
    queue.hold(0)
    assert queue.left_alone == []  # shard 1 is under way, and it costs nothing to ask again
    queue.end(1)
    clock.now += 60
    assert queue.take() == 0
    queue.hold(0)
    assert (queue.left_alone, queue.open) == ([0], 0)


def test_a_lock_that_a_lost_attempt_left_is_waited_for_longer() -> None:
    clock = Clock()
    queue = ShardQueue([0], clock)
    queue.take()
    queue.lose(0, "a", process_died=False)
    asked = 0
    while queue.open:
        clock.now += 0.1
        if queue.take() is not None:
            asked += 1
            queue.hold(0)
    assert queue.left_alone == [0]
    assert 120 <= clock.now < 140
    assert asked < 25  # less and less often
