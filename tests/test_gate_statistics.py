"""The sequential test and the verdicts, on simulated rounds: error rates that hold, and what must never pass."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom

from driftgate.gate.decisions import regression_rounds
from driftgate.gate.rule import SpeedRule, Verdict, exit_code
from driftgate.gate.sequential import (
    confidence_sequence,
    detectable_effect,
    log_evidence,
    rounds_needed,
    wins_needed,
)
from driftgate.gate.verdicts import TimedBackend, judge_cells, undecided
from driftgate.judge.intervals import clopper_pearson

RULE = SpeedRule()
BACKENDS, CELLS, ROUNDS, PAIRS = 5, 4, 60, 4
Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@pytest.mark.parametrize(("wins", "rounds"), [(0, 0), (3, 5), (14, 14), (2, 9), (20, 24)])
def test_evidence_is_the_mixture_of_likelihood_ratios(wins: int, rounds: int) -> None:
    """Twice the integral, over win probabilities p from 1/2 to 1, of p^wins (1 - p)^losses / (1/2)^rounds."""
    mixture, _ = quad(lambda p: 2 * p**wins * (1 - p) ** (rounds - wins) * 2**rounds, 0.5, 1)
    assert np.exp(log_evidence(wins, rounds)) == pytest.approx(mixture)


@pytest.mark.parametrize("rounds", [1, 7, 40])
def test_evidence_has_mean_one_where_there_is_nothing_to_find(rounds: int) -> None:
    wins = np.arange(rounds + 1)
    assert binom.pmf(wins, rounds, 0.5) @ np.exp(log_evidence(wins, np.full_like(wins, rounds))) == pytest.approx(1)


def test_too_few_rounds_reach_no_level() -> None:
    assert wins_needed(6, 0.05) is None
    assert wins_needed(7, 0.05) == 7
    assert wins_needed(13, 0.01 / 20) is None
    assert wins_needed(14, 0.01 / 20) == 14


def test_confidence_sequence_holds_at_every_number_of_rounds_at_once() -> None:
    """Even where it is looked at after each round, it leaves the true median out at most twice its level a run."""
    generator = np.random.default_rng(2)
    missed = 0
    for _ in range(200):
        ratios = 0.07 + 0.05 * generator.standard_t(2, size=60)
        looks = [confidence_sequence(ratios[:rounds], 0.05) for rounds in range(1, 61)]
        missed += any(not look.low <= 0.07 <= look.high for look in looks)
    assert clopper_pearson(missed, 200).low <= 0.10


def test_confidence_sequence_is_infinite_while_nothing_can_be_said() -> None:
    bounds = confidence_sequence([0.1, 0.2, 0.3], 0.05)
    assert (bounds.low, bounds.high) == (-math.inf, math.inf)
    with pytest.raises(ValueError, match="finite log ratios"):
        confidence_sequence([0.1, math.nan], 0.05)


def test_detectable_effect_falls_with_rounds_and_rises_with_spread() -> None:
    assert math.isinf(detectable_effect(0.02, 8, 0.0005, 0.95))
    few, many = (detectable_effect(0.05, rounds, 0.0005, 0.95) for rounds in (20, 60))
    assert many < few < detectable_effect(0.10, 20, 0.0005, 0.95)


def test_as_many_rounds_as_needed_find_the_effect_that_often() -> None:
    """The estimate of `rounds_needed`, tried on rounds of the spread it was given."""
    rounds = rounds_needed(0.08, 0.0953, 0.0005, 0.95)
    assert rounds is not None
    drawn = np.random.default_rng(4).normal(0.0953, 0.08, (1000, rounds))
    needed = wins_needed(rounds, 0.0005)
    assert needed is not None
    assert clopper_pearson(int(((drawn > 0).sum(1) >= needed).sum()), 1000, 0.999).high >= 0.95
    assert rounds_needed(5.0, 0.0953, 0.0005, 0.95) is None


# Noise of one call, log scale, (..., time, slot): its variation is 10% unless said otherwise.


def heavy_tailed(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    spikes = (generator.random(shape) < 0.05) * generator.exponential(0.3, shape)
    return 0.10 * generator.standard_t(3, shape) / math.sqrt(3) + spikes


def autocorrelated(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Slow drift through all calls in the order in which they are made, so that slot 1 lags behind slot 0."""
    calls = generator.normal(0, 0.05, shape).reshape(*shape[:-2], -1)
    for index in range(1, calls.shape[-1]):
        calls[..., index] += 0.95 * calls[..., index - 1]
    return calls.reshape(shape)


def lucky_loads(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Loads that differ by 4% from each other, all through a round, under little noise."""
    loads = generator.normal(0, 0.04, (*shape[:-2], shape[-2] // PAIRS, shape[-1])).repeat(PAIRS, axis=-2)
    return loads + 0.02 * generator.standard_normal(shape)


def second_slot_slower(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 0.05 * generator.standard_normal(shape) + np.array([0.0, 0.08])


NOISES = [heavy_tailed, autocorrelated, lucky_loads, second_slot_slower]


def simulate(generator: np.random.Generator, noise: Noise, slowdown: float, slow_cells: int) -> dict[str, TimedBackend]:
    """Rounds of 20 cells; the first `slow_cells` of them are slower. Sides change slots by a coin for each pair."""
    calls = noise(generator, (BACKENDS, CELLS, ROUNDS * PAIRS, 2))
    if noise is not lucky_loads:  # there a slot is a load
        coin = generator.random(calls.shape[:-1]) < 0.5
        calls = np.where(coin[..., None], calls, calls[..., ::-1])
    ratios = np.median((calls[..., 1] - calls[..., 0]).reshape(BACKENDS, CELLS, ROUNDS, PAIRS), axis=-1)
    ratios = ratios.reshape(-1, ROUNDS)
    ratios[:slow_cells] += math.log1p(slowdown)
    grouped = ratios.reshape(BACKENDS, CELLS, ROUNDS)
    return {
        f"b{backend}": TimedBackend({f"b{backend}-{cell}": grouped[backend, cell] for cell in range(CELLS)}, ())
        for backend in range(BACKENDS)
    }


@pytest.mark.parametrize("noise", NOISES)
def test_runs_of_equal_cells_raise_no_more_alarms_than_promised(noise: Noise) -> None:
    """20 equal cells, looked at after every round: alarms in 1% of runs at most, as far as 60 runs can tell."""
    generator = np.random.default_rng(11)
    runs = [judge_cells(simulate(generator, noise, 0, 0), RULE).values() for _ in range(60)]
    alarms = sum(any(found.verdict is Verdict.REGRESSION for found in run) for run in runs)
    assert clopper_pearson(alarms, len(runs)).low <= RULE.alpha
    assert alarms <= 1


@pytest.mark.parametrize("noise", NOISES)
def test_a_slowdown_of_the_promised_size_is_found_in_nearly_every_cell(noise: Noise) -> None:
    generator = np.random.default_rng(12)
    found = [
        verdict.verdict
        for _ in range(12)
        for verdict in judge_cells(simulate(generator, noise, 0.10, BACKENDS * CELLS), RULE).values()
    ]
    caught, passed = (sum(verdict is wanted for verdict in found) for wanted in (Verdict.REGRESSION, Verdict.PASS))
    assert caught / len(found) >= 0.93
    assert clopper_pearson(passed, len(found)).low <= RULE.beta


def test_one_slow_cell_among_twenty_is_found_and_the_others_pass() -> None:
    verdicts = judge_cells(simulate(np.random.default_rng(13), heavy_tailed, 0.25, 1), RULE)
    assert verdicts["b0-0"].verdict is Verdict.REGRESSION
    assert {found.verdict for cell, found in verdicts.items() if cell != "b0-0"} == {Verdict.PASS}


def test_a_slow_backend_needs_fewer_rounds_than_a_slow_cell() -> None:
    """The reason for the backend's own test."""
    timed = simulate(np.random.default_rng(14), heavy_tailed, 0.10, CELLS)
    apart = {
        name: TimedBackend({cell: ratios}, ())
        for backend in timed.values()
        for cell, ratios in backend.cells.items()
        for name in [cell]
    }
    together, alone = judge_cells(timed, RULE), judge_cells(apart, RULE)
    slow = [f"b0-{cell}" for cell in range(CELLS)]
    assert sum(together[cell].rounds for cell in slow) < sum(alone[cell].rounds for cell in slow)


def judge_one(ratios: list[float], control: list[float] | None = None) -> Verdict:
    return judge_cells({"b": TimedBackend({"cell": ratios}, control or [])}, RULE)["cell"].verdict


def test_too_few_rounds_never_decide() -> None:
    assert judge_one([]) is Verdict.NOT_MEASURABLE
    assert judge_one([0.0] * 6) is Verdict.NOT_MEASURABLE
    assert judge_one([0.0] * 7) is Verdict.PASS
    assert judge_one([0.5] * 8) is Verdict.NOT_MEASURABLE
    assert judge_one([0.5] * 9) is Verdict.REGRESSION


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_not_a_number_never_passes(broken: float) -> None:
    assert judge_one([0.0] * 30 + [broken]) is Verdict.NOT_MEASURABLE
    assert judge_one([0.0] * 30, control=[broken]) is Verdict.NOT_MEASURABLE
    cells = {"whole": [0.0] * 30, "broken": [broken] * 30}
    verdicts = judge_cells({"b": TimedBackend(cells, [])}, RULE)
    assert (verdicts["whole"].verdict, verdicts["broken"].verdict) == (Verdict.PASS, Verdict.NOT_MEASURABLE)


def test_a_cell_passes_exactly_when_its_interval_ends_below_what_is_to_be_detected() -> None:
    generator = np.random.default_rng(6)
    for _ in range(200):
        ratios = generator.normal(generator.uniform(-0.05, 0.09), 0.06, 12).tolist()
        (found,) = judge_cells({"b": TimedBackend({"cell": ratios}, [])}, RULE).values()
        if found.verdict is Verdict.PASS:
            assert found.high is not None
            assert found.high < RULE.detect
        elif found.verdict is Verdict.NOT_MEASURABLE:
            assert found.high is None or found.high >= RULE.detect


def test_the_fewest_rounds_of_a_regression_are_those_the_documentation_names() -> None:
    many = {
        f"b{number}": TimedBackend({f"b{number}-{cell}": [0.5] * 30 for cell in range(4)}, []) for number in range(5)
    }
    assert {found.rounds for found in judge_cells(many, RULE).values()} == {13}
    assert judge_cells({"b": TimedBackend({"cell": [0.5] * 30}, [])}, RULE)["cell"].rounds == 9
    assert RULE.least_rounds == 7
    assert regression_rounds([4] * 5, RULE) == 13
    assert regression_rounds([1], RULE) == 9


@pytest.mark.parametrize("noise", NOISES)
def test_runs_slower_by_the_tolerance_raise_no_more_alarms_than_promised(noise: Noise) -> None:
    generator = np.random.default_rng(21)
    slower = lambda: simulate(generator, noise, RULE.tolerance, BACKENDS * CELLS)  # noqa: E731
    runs = [judge_cells(slower(), RULE).values() for _ in range(60)]
    alarms = sum(any(found.verdict is Verdict.REGRESSION for found in run) for run in runs)
    assert clopper_pearson(alarms, len(runs)).low <= RULE.alpha
    assert alarms <= 1


def test_evidence_of_a_regression_is_what_lies_beyond_the_tolerance() -> None:
    """Every round is positive, and the estimate is large enough: but only half of the rounds exceed 2%."""
    assert judge_one([0.015, 0.3] * 20) is Verdict.NOT_MEASURABLE
    lax = SpeedRule(tolerance=0)
    timed = {"b": TimedBackend({"cell": [0.015, 0.3] * 20}, [])}
    assert judge_cells(timed, lax)["cell"].verdict is Verdict.REGRESSION


def test_a_small_slowdown_however_certain_is_no_regression() -> None:
    assert judge_one([0.02] * 60) is Verdict.PASS


def test_a_faster_candidate_passes_and_its_interval_says_so() -> None:
    (found,) = judge_cells({"b": TimedBackend({"cell": [-0.3] * 9}, [])}, RULE).values()
    assert found.verdict is Verdict.PASS
    assert found.slowdown == found.high == pytest.approx(math.exp(-0.3) - 1)


def test_timing_a_decided_cell_further_does_not_change_its_verdict() -> None:
    assert judge_one([0.5] * 9 + [-0.5] * 50) is Verdict.REGRESSION
    assert judge_one([0.0] * 7 + [0.5] * 50) is Verdict.PASS


def test_the_control_alone_voids_verdicts_and_only_its_backends() -> None:
    slow, even = [0.5] * 30, [0.001, -0.001] * 15
    timed = {"dirty": TimedBackend({"dirty-1": slow}, [0.02] * 30), "clean": TimedBackend({"clean-1": slow}, even)}
    verdicts = judge_cells(timed, RULE)
    assert verdicts["dirty-1"].verdict is Verdict.NOT_MEASURABLE
    assert "A/A control failed: biased by +2.0%" in verdicts["dirty-1"].reason
    assert verdicts["clean-1"].verdict is Verdict.REGRESSION


def test_a_control_surely_as_far_from_itself_as_a_regression_voids_verdicts() -> None:
    assert judge_one([0.0] * 9, control=[0.06] * 7) is Verdict.NOT_MEASURABLE
    assert judge_one([0.0] * 9, control=[0.02] * 7) is Verdict.PASS


def test_a_control_that_is_only_noisy_does_not() -> None:
    assert judge_one([0.0] * 9, control=[0.3, -0.2, 0.3, -0.2, 0.06, 0.06, 0.06]) is Verdict.PASS


def test_runs_without_a_fault_are_seldom_voided_however_noisy() -> None:
    generator = np.random.default_rng(15)
    control = generator.normal(0, 0.10, (60, BACKENDS, 14))
    voided = sum(
        any(
            found.verdict is not Verdict.PASS
            for found in judge_cells(
                {str(b): TimedBackend({str(b): [0.0] * 14}, own) for b, own in enumerate(run.tolist())}, RULE
            ).values()
        )
        for run in control
    )
    assert voided <= 3


def test_a_contaminated_backend_is_not_measured_further_for_that() -> None:
    timed = {"b": TimedBackend({"done": [0.0] * 9, "open": [0.0] * 3}, [0.5] * 30)}
    assert undecided(timed, RULE) == {"open"}


def test_an_undecided_cell_says_what_it_would_take() -> None:
    ratios = np.random.default_rng(5).normal(0.05, 0.3, 10).tolist()
    (found,) = judge_cells({"b": TimedBackend({"cell": ratios}, [])}, RULE).values()
    assert found.verdict is Verdict.NOT_MEASURABLE
    assert found.reason == "undecided after 10 rounds"
    assert found.rounds_needed is not None
    assert found.rounds_needed > 10


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([Verdict.PASS, Verdict.IDENTICAL, Verdict.NEW], 0),
        ([Verdict.PASS, Verdict.REGRESSION, Verdict.NOT_MEASURABLE], 1),
        ([Verdict.PASS, Verdict.NOT_MEASURABLE], 7),
        ([Verdict.PASS, Verdict.VANISHED], 1),
        ([Verdict.NEW, Verdict.NEW], 1),
        ([], 1),
    ],
)
def test_a_run_is_green_only_if_something_was_compared_and_all_of_it_passed(verdicts: list[Verdict], code: int) -> None:
    assert exit_code(verdicts) == code


@pytest.mark.parametrize(
    "rule",
    [
        {"tolerance": -0.01},
        {"tolerance": 0.10},
        {"tolerance": math.nan},
        {"detect": 0.0},
        {"detect": math.nan},
        {"alpha": 0.0},
        {"beta": 0.5},
        {"alpha": math.nan},
    ],
)
def test_a_promise_that_cannot_be_kept_is_refused(rule: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected a"):
        SpeedRule(**rule)
