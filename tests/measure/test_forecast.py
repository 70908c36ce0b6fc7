"""How much of a run is done, and how long the rest takes."""

import pytest

from driftgate.measure.forecast import Forecast, TimedTest

TESTS = [TimedTest(f"{kind}[{number}]", kind) for kind in ("drift", "properties") for number in range(4)]


def test_nothing_is_said_before_anything_is_known() -> None:
    forecast = Forecast(TESTS, {})
    assert forecast.seconds_left is None
    assert forecast.share_done is None


def test_tests_of_a_kind_take_as_long_as_those_that_ended_and_others_the_mean() -> None:
    forecast = Forecast(TESTS, {})
    for part in (1.0, 2.0, 3.0):
        forecast.add("drift[0]", part)
    assert forecast.seconds_left == 7 * 6
    forecast.add("properties[0]", 60)
    assert forecast.seconds_left == 3 * 6 + 3 * 60
    assert forecast.share_done == pytest.approx(66 / (66 + 198))


def test_an_earlier_run_tells_what_is_to_come_at_the_speed_of_this_one() -> None:
    past = {test.id: 10.0 if test.kind == "properties" else 1.0 for test in TESTS}
    forecast = Forecast(TESTS, past)
    assert forecast.seconds_left == 44
    assert forecast.share_done == 0
    forecast.add("drift[0]", 2)
    assert forecast.seconds_left == 2 * 43


def test_tests_that_have_more_to_do_than_the_last_time_say_nothing_about_most_others() -> None:
    kinds = ("answers", "holes", "order", "timing")
    tests = [TimedTest(f"{kind}[{number}]", kind) for kind in kinds for number in range(2)]
    forecast = Forecast(tests, {test.id: 10.0 for test in tests})
    for test, seconds in {"answers[0]": 40.0, "holes[0]": 10.0, "order[0]": 10.0}.items():
        forecast.add(test, seconds)
    assert forecast.seconds_left == 40 + 10 + 10 + 2 * 10


@pytest.mark.parametrize(("seconds", "slower"), [(1000, 5.0), (0.0001, 0.2)])
def test_one_odd_test_does_not_make_the_rest_endless(seconds: float, slower: float) -> None:
    forecast = Forecast(TESTS, {test.id: 1.0 for test in TESTS})
    forecast.add("drift[0]", seconds)
    assert forecast.seconds_left == pytest.approx(7 * slower)


def test_at_the_end_all_is_done() -> None:
    forecast = Forecast(TESTS, {})
    for test in TESTS:
        forecast.add(test.id, 0.5)
    assert (forecast.seconds_left, forecast.share_done) == (0, 1)
