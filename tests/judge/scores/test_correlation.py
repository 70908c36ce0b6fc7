"""Correlation with the scores that people gave: what is lost of it, each row's part in that, and the verdict on it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from driftgate.arrays import FloatArray, Logits
from driftgate.assessor import find_bounds
from driftgate.errors import CorpusError
from driftgate.judge.accuracy_verdicts import levels_of_run
from driftgate.judge.bounds import MetricVerdict, Outcome
from driftgate.judge.evidence import Evidence, Head
from driftgate.judge.judgement import Judgement
from driftgate.judge.parts import SCORE_QUALITY
from driftgate.judge.scores.correlation import correlation_losses, measure_score_quality

HEAD = Head(("score",), multi_label=True, policies={}, gives_score=True)
SCIPYS = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}


def draw(rows: int, seed: int = 0, noise: float = 0.0, steps: int = 0) -> tuple[Logits, Logits, FloatArray]:
    """Scores of a reference, those of a backend with noise, and what people gave: 0.8 alike, in so many steps."""
    generator = np.random.default_rng(seed)
    reference = generator.normal(size=rows)
    people = 0.8 * reference + 0.6 * generator.normal(size=rows)
    backend = reference + noise * generator.normal(size=rows)
    sides = (Logits(side[:, None].astype(np.float32)) for side in (reference, backend))
    return (*sides, np.round(people * steps) / steps if steps else people)


def verdicts(reference: Logits, backend: Logits, people: FloatArray, key: str = "fp32") -> dict[str, MetricVerdict]:
    evidence = Evidence(HEAD, None, reference=lambda: reference, backend=lambda: backend, targets=people)
    found = Judgement("mine", (key,), evidence, levels_of_run(1)).judge(find_bounds(None), [SCORE_QUALITY])
    return {verdict.metric: verdict for verdict in found}


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_the_correlations_are_scipys(steps: int) -> None:
    reference, _, people = draw(300, steps=steps)
    found = measure_score_quality(reference, people)
    for name, function in SCIPYS.items():
        assert getattr(found, name) == pytest.approx(function(reference[:, 0], people).statistic, abs=1e-7)


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("name", SCIPYS)
def test_the_part_of_a_row_is_that_of_the_jackknife(name: str, steps: int) -> None:
    rows = 400
    reference, backend, people = draw(rows, noise=0.5, steps=steps)

    def loss(kept: FloatArray) -> float:
        before, after = (SCIPYS[name](side[kept, 0], people[kept]).statistic for side in (reference, backend))
        return float(before - after)

    everyone = np.arange(rows)
    left_out = [rows * loss(everyone) - (rows - 1) * loss(np.delete(everyone, row)) for row in range(rows)]
    found = correlation_losses(reference, backend, people)[name].values
    assert found.mean() == pytest.approx(loss(everyone), abs=1e-7)
    assert np.corrcoef(found, left_out)[0, 1] > 0.999
    assert found.std() == pytest.approx(np.std(left_out), rel=0.02)


def test_a_backend_that_follows_people_less_fails() -> None:
    reference, backend, people = draw(3000, noise=0.3)
    found = verdicts(reference, backend, people)
    for name in SCIPYS:
        assert found[f"{name}_loss"].value == pytest.approx(0.8 - 0.8 / np.sqrt(1.09), abs=0.01)
        assert found[f"{name}_loss"].verdict is Outcome.FAIL


def test_few_rows_of_a_backend_that_is_the_same_show_nothing_and_many_do() -> None:
    assert {one.verdict for one in verdicts(*draw(100)).values()} == {Outcome.NOT_SHOWN}
    assert {one.verdict for one in verdicts(*draw(8000)).values()} == {Outcome.PASS}
    needed = verdicts(*draw(100))["spearman_loss"].rows_needed
    assert needed is not None
    assert 300 < needed < 8000


@pytest.mark.slow
def test_limits_hold_as_often_as_they_promise() -> None:
    """In at most about 5% of samples is the true loss above the upper limit."""
    above = dict.fromkeys(SCIPYS, 0)
    *whole, people = draw(200_000, seed=9, noise=0.3, steps=2)
    true = {name: float(loss.values.mean()) for name, loss in correlation_losses(*whole, people).items()}
    for seed in range(200):
        for name, verdict in verdicts(*draw(150, seed, noise=0.3, steps=2)).items():
            above[name.removesuffix("_loss")] += verdict.limits.high < true[name.removesuffix("_loss")]
    assert max(above.values()) <= 16


def test_a_backend_without_any_order_loses_all_of_it() -> None:
    reference, _, people = draw(500)
    same = Logits(np.full_like(reference, 2.0))
    assert measure_score_quality(same, people).spearman == 0.0
    found = correlation_losses(reference, same, people)["pearson"].values.mean()
    assert found == pytest.approx(measure_score_quality(reference, people).pearson)


def test_people_who_gave_every_row_the_same_score_are_refused() -> None:
    reference, backend, people = draw(50)
    with pytest.raises(CorpusError, match="expected rows to which people gave different scores, found 3 for all 50"):
        correlation_losses(reference, backend, np.full_like(people, 3.0))


def test_without_scores_of_people_nothing_is_said_of_correlation() -> None:
    reference, backend, _ = draw(50)
    evidence = Evidence(HEAD, None, reference=lambda: reference, backend=lambda: backend)
    assert Judgement("mine", ("fp32",), evidence, levels_of_run(1)).judge(find_bounds(None), [SCORE_QUALITY]) == ()
    with_nan = replace(evidence, backend=lambda: Logits(np.full_like(reference, np.nan)), targets=np.arange(50.0))
    with pytest.raises(ValueError, match="finite"):
        Judgement("mine", ("fp32",), with_nan, levels_of_run(1)).judge(find_bounds(None), [SCORE_QUALITY])
