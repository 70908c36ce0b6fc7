"""The sequential test and the verdicts, on simulated rounds: error rates that hold, and what must never pass."""

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gate.decisions import Referee, adjust_log_evidence
from driftgate.gate.rule import SpeedRule, Verdict, exit_code
from driftgate.gate.sequential import (
    confidence_sequence,
    detectable_effect,
    fewest_rounds,
    log_evidence,
    rounds_needed,
    sharpen,
)
from driftgate.gate.verdicts import TimedRun, judge_cells
from driftgate.judge.confidence.counted_limits import clopper_pearson

RULE = SpeedRule()
EFFECT = RULE.log_detect
BACKENDS, CELLS, ROUNDS, PAIRS = 5, 4, 60, 2
Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
FINITE = st.floats(-2, 2)


@given(slowdown=FINITE, beyond=st.floats(0, 2), deviation=FINITE, sharpness=st.floats(0.1, 1000))
def test_no_bet_gains_where_the_candidate_is_slower_by_the_bound_or_less(
    slowdown: float, beyond: float, deviation: float, sharpness: float
) -> None:
    """Of two log ratios that are as likely as each other, around a slowdown up to the bound: the mean factor is 1 at most."""
    bound = slowdown + beyond
    excesses = [slowdown + deviation - bound, slowdown - deviation - bound]
    factors = [float(np.exp(log_evidence([excess], [sharpness])[0])) for excess in excesses]
    assert min(factors) > 0
    assert np.mean(factors) <= 1 + 1e-12
    if beyond == 0:
        assert np.mean(factors) == pytest.approx(1)


def test_a_bet_knows_only_the_rounds_before() -> None:
    ratios = [0.01, -0.2, 0.3, 0.05]
    assert sharpen(ratios, EFFECT)[:3].tolist() == sharpen([*ratios[:3], 9.0], EFFECT)[:3].tolist()
    assert sharpen(ratios, EFFECT)[0] == sharpen([5.0], EFFECT)[0]


def test_noisier_rounds_make_blunter_bets() -> None:
    quiet, noisy = (sharpen([size, -size] * 10, EFFECT)[-1] for size in (0.01, 0.2))
    assert quiet > 10 * noisy


@given(logs=st.lists(st.floats(-5, 12), min_size=1, max_size=6))
def test_adjusted_evidence_is_the_least_mean_over_all_sets_with_the_hypothesis(logs: list[float]) -> None:
    everyone = range(len(logs))
    for index, adjusted in enumerate(adjust_log_evidence(logs).tolist()):
        means = [
            np.mean(np.exp([logs[member] for member in chosen]))
            for size in range(1, len(logs) + 1)
            for chosen in combinations(everyone, size)
            if index in chosen
        ]
        assert adjusted == pytest.approx(np.log(min(means)))


def test_confidence_sequence_holds_at_every_number_of_rounds_at_once() -> None:
    """Even where it is looked at after each round, it leaves the true slowdown out at most twice its level a run."""
    generator = np.random.default_rng(2)
    missed = 0
    for _ in range(200):
        ratios = 0.07 + 0.05 * generator.standard_t(2, size=60)
        looks = [confidence_sequence(ratios[:rounds].tolist(), 0.05, EFFECT) for rounds in range(1, 61, 3)]
        missed += any(not low <= 0.07 <= high for low, high in looks)
    assert clopper_pearson(missed, 200).low <= 0.10


def test_confidence_sequence_is_infinite_while_nothing_can_be_said() -> None:
    assert confidence_sequence([0.1, 0.2, 0.3], 0.05, EFFECT) == (-math.inf, math.inf)
    with pytest.raises(ValueError, match="finite log ratios"):
        confidence_sequence([0.1, math.nan], 0.05, EFFECT)


def test_confidence_sequence_ends_where_the_evidence_does() -> None:
    ratios = np.random.default_rng(3).normal(0.03, 0.04, 20)
    (low, high), sharpness = confidence_sequence(ratios.tolist(), 0.05, EFFECT), sharpen(ratios.tolist(), EFFECT)
    assert log_evidence(high - ratios, sharpness)[-1] == pytest.approx(np.log(20))
    assert log_evidence(ratios - low, sharpness)[-1] == pytest.approx(np.log(20))
    assert low < np.median(ratios) < high


def test_detectable_effect_falls_with_rounds_and_rises_with_spread() -> None:
    assert math.isinf(detectable_effect(0.02, 8, 0.0005, 0.95, EFFECT))
    few, many = (detectable_effect(0.05, rounds, 0.0005, 0.95, EFFECT) for rounds in (20, 60))
    assert many < few < detectable_effect(0.10, 20, 0.0005, 0.95, EFFECT)


def test_as_many_rounds_as_needed_find_the_effect_that_often() -> None:
    """The estimate of `rounds_needed`, tried on rounds of the spread it was given."""
    rounds = rounds_needed(0.08, 0.0755, 0.0005, 0.95, EFFECT)
    assert rounds is not None
    generator = np.random.default_rng(4)
    reached = 0
    for _ in range(300):
        ratios = generator.normal(0.0755, 0.08, rounds)
        reached += log_evidence(ratios, sharpen(ratios.tolist(), EFFECT))[-1] >= -np.log(0.0005)
    assert clopper_pearson(reached, 300, 0.999).high >= 0.90
    assert reached <= 299
    assert rounds_needed(5.0, 0.0755, 0.0005, 0.95, EFFECT) is None


# Noise of one turn, log scale, (..., time, slot).


def heavy_tailed(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    spikes = (generator.random(shape) < 0.05) * generator.exponential(0.3, shape)
    return 0.05 * generator.standard_t(3, shape) / math.sqrt(3) + spikes


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


NAMES = [f"b{backend}-{cell}" for backend in range(BACKENDS) for cell in range(CELLS)]


def simulate(generator: np.random.Generator, noise: Noise, slowdown: float, slow_cells: int) -> TimedRun:
    """Rounds of 20 cells; the first `slow_cells` of them are slower. Sides change slots at random for each pair."""
    calls = noise(generator, (len(NAMES), ROUNDS * PAIRS, 2))
    if noise is not lucky_loads:  # there a slot is a load
        swapped = generator.random(calls.shape[:-1]) < 0.5
        calls = np.where(swapped[..., None], calls, calls[..., ::-1])
    ratios = np.median((calls[..., 1] - calls[..., 0]).reshape(len(NAMES), ROUNDS, PAIRS), axis=-1)
    ratios[:slow_cells] += math.log1p(slowdown)
    rounds = [dict(zip(NAMES, of_round, strict=True)) for of_round in ratios.T.tolist()]
    return TimedRun({name: name.split("-")[0] for name in NAMES}, rounds, {})


def run_of(control: list[float] | None = None, **cells: list[float]) -> TimedRun:
    """Cells of one backend; a cell with fewer log ratios than another is not timed in the last rounds."""
    rounds = [
        {cell: ratios[number] for cell, ratios in cells.items() if number < len(ratios)}
        for number in range(max(map(len, cells.values())))
    ]
    return TimedRun(dict.fromkeys(cells, "b"), rounds, {"b": control} if control else {})


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


def test_a_slow_run_needs_fewer_rounds_than_a_slow_cell() -> None:
    """The reason for means of evidence."""
    together = judge_cells(simulate(np.random.default_rng(14), lucky_loads, 0.10, len(NAMES)), RULE)
    alone = judge_cells(simulate(np.random.default_rng(14), lucky_loads, 0.10, 1), RULE)
    assert together["b0-0"].verdict is alone["b0-0"].verdict is Verdict.REGRESSION
    assert together["b0-0"].rounds < alone["b0-0"].rounds


def judge_one(ratios: list[float], control: list[float] | None = None) -> Verdict:
    return judge_cells(run_of(control, cell=ratios), RULE)["cell"].verdict


def test_too_few_rounds_never_decide() -> None:
    assert judge_one([]) is Verdict.NOT_MEASURABLE
    assert judge_one([-0.5] * 4) is Verdict.NOT_MEASURABLE
    assert judge_one([0.0] * 5) is Verdict.PASS
    assert judge_one([0.5] * 6) is Verdict.NOT_MEASURABLE
    assert judge_one([0.5] * 7) is Verdict.REGRESSION


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_not_a_number_never_passes(broken: float) -> None:
    assert judge_one([0.0] * 3 + [broken] + [0.0] * 30) is Verdict.NOT_MEASURABLE
    assert judge_one([0.0] * 30, control=[broken]) is Verdict.NOT_MEASURABLE
    verdicts = judge_cells(run_of(whole=[0.0] * 30, broken=[broken] * 30), RULE)
    assert (verdicts["whole"].verdict, verdicts["broken"].verdict) == (Verdict.PASS, Verdict.NOT_MEASURABLE)


def test_a_cell_passes_exactly_when_its_interval_ends_below_what_is_to_be_detected() -> None:
    generator = np.random.default_rng(6)
    for _ in range(200):
        ratios = generator.normal(generator.uniform(-0.05, 0.09), 0.06, 12).tolist()
        (found,) = judge_cells(run_of(cell=ratios), RULE).values()
        if found.verdict is Verdict.PASS:
            assert found.high is not None
            assert found.high < RULE.detect
        elif found.verdict is Verdict.NOT_MEASURABLE:
            assert found.high is None or found.high >= RULE.detect


def test_the_fewest_rounds_are_those_the_documentation_names() -> None:
    slow = run_of(**{name: [0.5] * 30 for name in NAMES})
    assert {found.rounds for found in judge_cells(slow, RULE).values()} == {7}
    one_of_twenty = run_of(**{name: [0.5 if name == NAMES[0] else 0.0] * 30 for name in NAMES})
    assert judge_cells(one_of_twenty, RULE)[NAMES[0]].rounds == 12
    assert RULE.least_rounds == fewest_rounds(RULE.beta) == 5


@pytest.mark.parametrize("noise", NOISES)
def test_runs_slower_by_the_tolerance_raise_no_more_alarms_than_promised(noise: Noise) -> None:
    generator = np.random.default_rng(21)
    slower = lambda: simulate(generator, noise, RULE.tolerance, BACKENDS * CELLS)  # noqa: E731
    runs = [judge_cells(slower(), RULE).values() for _ in range(60)]
    alarms = sum(any(found.verdict is Verdict.REGRESSION for found in run) for run in runs)
    assert clopper_pearson(alarms, len(runs)).low <= RULE.alpha
    assert alarms <= 1


def test_evidence_of_a_regression_is_what_lies_beyond_the_tolerance() -> None:
    slower = run_of(cell=[math.log(1.09)] * 60)
    assert judge_cells(slower, RULE)["cell"].verdict is Verdict.REGRESSION
    assert judge_cells(slower, SpeedRule(tolerance=0.095))["cell"].verdict is Verdict.PASS


def test_a_small_slowdown_however_certain_is_no_regression() -> None:
    assert judge_one([0.02] * 60) is Verdict.PASS


def test_a_faster_candidate_passes_and_its_interval_says_so() -> None:
    (found,) = judge_cells(run_of(cell=[-0.3] * 9), RULE).values()
    assert found.verdict is Verdict.PASS
    assert found.slowdown == pytest.approx(math.exp(-0.3) - 1)
    assert found.high is not None
    assert found.high < 0


def test_timing_a_decided_cell_further_does_not_change_its_verdict() -> None:
    assert judge_one([0.5] * 9 + [-0.5] * 50) is Verdict.REGRESSION
    assert judge_one([0.0] * 7 + [0.5] * 50) is Verdict.PASS


def test_the_control_alone_voids_verdicts_and_only_its_backends() -> None:
    rounds = [{"dirty-1": 0.5, "clean-1": 0.5}] * 30
    controls = {"dirty": [0.02] * 30, "clean": [0.001, -0.001] * 15}
    verdicts = judge_cells(TimedRun({"dirty-1": "dirty", "clean-1": "clean"}, rounds, controls), RULE)
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
                TimedRun(
                    {str(b): str(b) for b in range(BACKENDS)},
                    [dict.fromkeys(map(str, range(BACKENDS)), 0.0)] * 14,
                    {str(b): own for b, own in enumerate(run.tolist())},
                ),
                RULE,
            ).values()
        )
        for run in control
    )
    assert voided <= 3


def test_the_nearer_a_cell_is_to_a_verdict_the_fewer_rounds_are_expected() -> None:
    referee = Referee(["equal", "slower", "between", "done"], RULE)
    assert set(referee.rounds_left()) == {"equal", "slower", "between", "done"}
    expected = []
    for _ in range(4):
        referee.add({"equal": 0.0, "slower": 0.10, "between": 0.085, "done": -0.4})
        expected.append(referee.rounds_left())
    assert [left["equal"] for left in expected] == sorted((left["equal"] for left in expected), reverse=True)
    assert expected[-1]["equal"] < expected[-1]["slower"] < expected[-1]["between"]
    referee.add({"done": -0.4})
    assert set(referee.rounds_left()) == {"equal", "slower", "between"}
    assert referee.decisions["done"].verdict is Verdict.PASS


def test_an_undecided_cell_says_what_it_would_take() -> None:
    ratios = np.random.default_rng(5).normal(0.05, 0.3, 10).tolist()
    (found,) = judge_cells(run_of(cell=ratios), RULE).values()
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
