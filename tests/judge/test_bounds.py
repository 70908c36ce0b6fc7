"""Limits with a reason."""

import math
import re
from datetime import date
from pathlib import Path

import pytest

from driftgate.backends import REGISTRY
from driftgate.errors import BoundsError
from driftgate.inputs.backend_names import parse_backends
from driftgate.judge.bounds import Bound, Outcome, find_bound, hold_to_bound
from driftgate.judge.bounds_file import describe_unread, load_bounds
from driftgate.judge.confidence.levels import Limits, exact_limits
from driftgate.pipeline import bounds_keys, known_keys
from driftgate.run.device import Device, RunSettings

ENTRY = """
[fp16.max_abs_logit_drift]
at_most = 0.01
reason = "ten times the largest seen"
set_on = 2026-01-31
"""


def bound(key: str = "fp16", limit: float = 0.01, *, at_most: bool = True) -> Bound:
    return Bound(key, "max_abs_logit_drift", limit, at_most, "ten times the largest seen", date(2026, 1, 31))


def table(*bounds: Bound) -> dict[tuple[str, str], Bound]:
    return {(bound.key, bound.metric): bound for bound in bounds}


def write(folder: Path, text: str) -> Path:
    path = folder / "bounds.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("at_most", [True, False], ids=["at-most", "at-least"])
def test_the_limit_itself_holds(*, at_most: bool) -> None:
    assert bound(at_most=at_most).holds(0.01)


@pytest.mark.parametrize("at_most", [True, False], ids=["at-most", "at-least"])
@pytest.mark.parametrize("limit", [0.01, math.inf, -math.inf], ids=str)
def test_nan_never_holds(limit: float, *, at_most: bool) -> None:
    assert not bound(limit=limit, at_most=at_most).holds(math.nan)


def test_at_most_holds_below_and_breaks_above() -> None:
    assert bound().holds(math.nextafter(0.01, 0))
    assert not bound().holds(math.nextafter(0.01, 1))


def test_at_least_holds_above_and_breaks_below() -> None:
    assert bound(at_most=False).holds(math.nextafter(0.01, 1))
    assert not bound(at_most=False).holds(math.nextafter(0.01, 0))


@pytest.mark.parametrize(
    ("value", "at_most", "expected"),
    [
        pytest.param(
            0.0125,
            True,
            "onnx-fp16: max_abs_logit_drift = 0.0125, expected at most 0.01 "
            "(bound [fp16.max_abs_logit_drift], set 2026-01-31: ten times the largest seen)",
            id="at-most",
        ),
        pytest.param(
            0.00123456789,
            False,
            "onnx-fp16: max_abs_logit_drift = 0.00123457, expected at least 0.01 "
            "(bound [fp16.max_abs_logit_drift], set 2026-01-31: ten times the largest seen)",
            id="at-least",
        ),
        pytest.param(
            math.nan,
            True,
            "onnx-fp16: max_abs_logit_drift = nan, expected at most 0.01 "
            "(bound [fp16.max_abs_logit_drift], set 2026-01-31: ten times the largest seen)",
            id="nan",
        ),
        pytest.param(
            0.010000000001,
            True,
            "onnx-fp16: max_abs_logit_drift = 0.010000000001, expected at most 0.01 "
            "(bound [fp16.max_abs_logit_drift], set 2026-01-31: ten times the largest seen)",
            id="a-hair-above",
        ),
    ],
)
def test_a_failure_tells_value_bound_and_reason(value: float, at_most: bool, expected: str) -> None:
    verdict = hold_to_bound(
        [table(bound(at_most=at_most))], "onnx-fp16", ("fp16",), "max_abs_logit_drift", exact_limits(value)
    )
    assert (str(verdict), verdict.verdict) == (expected, Outcome.FAIL)


def test_a_failure_tells_how_sure_it_is() -> None:
    limits = Limits(0.0125, 0.0113, 0.0141, 2e-4, 0.05, rows=300)
    verdict = hold_to_bound([table(bound())], "onnx-fp16", ("fp16",), "max_abs_logit_drift", limits)
    assert str(verdict).startswith(
        "onnx-fp16: max_abs_logit_drift = 0.0125 [at least 0.0113 with 99.98% confidence, at most 0.0141 with 95%], "
        "expected at most 0.01 (bound [fp16"
    )


def test_a_bounds_file_is_read_by_key_and_metric(tmp_path: Path) -> None:
    assert load_bounds(write(tmp_path, ENTRY)) == table(bound())


def test_at_least_and_whole_numbers_are_read(tmp_path: Path) -> None:
    found = load_bounds(write(tmp_path, ENTRY.replace("at_most = 0.01", "at_most = 1")))
    assert found == table(bound(limit=1.0))
    speed = ENTRY.replace("at_most = 0.01", "at_least = 1").replace("max_abs_logit_drift", "best_ratio_to_torch")
    (found,) = load_bounds(write(tmp_path, speed)).values()
    assert (found.limit, found.at_most) == (1.0, False)


def test_keys_with_hyphens_need_no_quotes(tmp_path: Path) -> None:
    assert ("onnx-fp16", "max_abs_logit_drift") in load_bounds(write(tmp_path, ENTRY.replace("fp16", "onnx-fp16")))


AT = ", [fp16.max_abs_logit_drift]: "


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param(
            'reason = "ten times the largest seen"', "", f"{AT}every bound needs a reason and a date", id="no-reason"
        ),
        pytest.param(
            '"ten times the largest seen"', '"  "', f"{AT}every bound needs a reason and a date", id="blank-reason"
        ),
        pytest.param("set_on = 2026-01-31", "", "and a date: set_on = 2026-01-31", id="no-date"),
        pytest.param("2026-01-31", '"2026-01-31"', "and a date: set_on = 2026-01-31", id="date-as-text"),
        pytest.param(
            "at_most = 0.01",
            "at_most = 0.01\nat_least = 0",
            f"{AT}expected exactly one of at_most and at_least, found ['at_most', 'at_least']",
            id="both-limits",
        ),
        pytest.param(
            "at_most = 0.01", "", f"{AT}expected exactly one of at_most and at_least, found neither", id="no-limit"
        ),
        pytest.param(
            "at_most = 0.01",
            "at_mots = 0.01",
            f"{AT}unknown fields at_mots; expected at_least, at_most, reason, set_on",
            id="unknown-field",
        ),
        pytest.param("0.01", "nan", f"{AT}at_most should be a number, found nan", id="nan-limit"),
        pytest.param("0.01", '"0.01"', f"{AT}at_most should be a number, found '0.01'", id="text-limit"),
        pytest.param("0.01", "true", f"{AT}at_most should be a number, found True", id="true-limit"),
        pytest.param("0.01", "-0.01", f"{AT}at_most should be from 0 to 10000 (or inf", id="negative-limit"),
        pytest.param("0.01", "1e300", "reported and not judged), found 1e+300", id="absurd-limit"),
        pytest.param("0.01", "-inf", "reported and not judged), found -inf", id="minus-infinity"),
        pytest.param("0.01", "1" + "0" * 400, "found more digits than any measure has", id="401-digits"),
        pytest.param("0.01", "1" + "0" * 5000, "not valid TOML (", id="5001-digits"),
        pytest.param("0.01", "0x1" + "0" * 5000, "found more digits than any measure has", id="hexadecimal-digits"),
        pytest.param("0.01", "[" * 5000 + "]" * 5000, "not valid TOML (", id="too-deep"),
        pytest.param("at_most", "at_least", f"{AT}at_least would let worse values pass; use at_most", id="wrong-way"),
        pytest.param(
            ENTRY, "fp16 = 0.01", "expected tables [class.metric], found a value 'fp16'", id="value-at-the-top"
        ),
        pytest.param(
            ENTRY, "[fp16]\nmax_abs_logit_drift = 0.01", f"{AT}expected a table with at_most or at_least", id="no-table"
        ),
        pytest.param("at_most = 0.01", "at_most 0.01", "not valid TOML (", id="not-toml"),
        pytest.param(ENTRY, ENTRY * 2, "not valid TOML (", id="given-twice"),
    ],
)
def test_a_malformed_bounds_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, ENTRY.replace(old, new))
    with pytest.raises(BoundsError, match=re.escape(message)) as refused:
        load_bounds(path)
    assert str(refused.value).startswith(f"bounds file {path}")


@pytest.mark.parametrize(
    ("metric", "limit"),
    [
        ("row_flip_rate_at_0_5", "5"), ("max_abs_probability_drift", "1.01"), ("mcc_loss_at_0_5", "2.5"),
        ("my_metric", "1e+13"),
    ],
)  # fmt: skip
def test_a_limit_that_no_value_can_break_is_refused(metric: str, limit: str, tmp_path: Path) -> None:
    entry = ENTRY.replace("max_abs_logit_drift", metric).replace("0.01", limit)
    with pytest.raises(
        BoundsError, match=rf"\[fp16\.{metric}\]: at_most should be from 0 to .*, found {re.escape(limit)}$"
    ):
        load_bounds(write(tmp_path, entry))


def test_infinity_says_that_something_is_reported_and_not_judged(tmp_path: Path) -> None:
    assert load_bounds(write(tmp_path, ENTRY.replace("0.01", "inf"))) == table(bound(limit=math.inf))


@pytest.mark.parametrize("limit", ["inf", "-1", "nan"])
def test_nothing_is_asked_for_that_no_value_can_keep(limit: str, tmp_path: Path) -> None:
    entry = ENTRY.replace("max_abs_logit_drift", "best_ratio_to_torch").replace("at_most = 0.01", f"at_least = {limit}")
    with pytest.raises(BoundsError, match="at_least should be"):
        load_bounds(write(tmp_path, entry))


@pytest.mark.parametrize(
    ("metric", "nearest"),
    [
        ("max_abs_logit_drft", "max_abs_logit_drift"),
        ("row_flip_rate", "row_flip_rate_at_0_5"),
        ("micro_f1_loss_upper_limit_at_0_5", "micro_f1_loss_at_0_5"),
        ("Max_Abs_Logit_Drift", "max_abs_logit_drift"),
        ("latency", ""),
    ],
)
def test_a_metric_that_no_suite_measures_is_refused_with_the_nearest(metric: str, nearest: str, tmp_path: Path) -> None:
    path = write(tmp_path, ENTRY.replace("max_abs_logit_drift", metric))
    with pytest.raises(BoundsError, match=rf"no test reads a bound for '{metric}': no suite .* nearest is '{nearest}"):
        load_bounds(path, metrics=())


def test_a_metric_of_a_suite_of_ones_own_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, ENTRY.replace("max_abs_logit_drift", "max_abs_logit_drift_on_reviews"))
    assert load_bounds(path)
    assert load_bounds(path, metrics=["max_abs_logit_drift_on_reviews"])
    with pytest.raises(BoundsError, match="no suite measures it"):
        load_bounds(path, metrics=())


def test_a_slip_in_a_suites_own_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BoundsError, match=r"'max_abs_logit_drfit': no suite measures it; .* 'max_abs_logit_drift'"):
        load_bounds(write(tmp_path, ENTRY.replace("drift", "drfit")))


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("fp23", "fp32"), ("FP32", "fp32"), ("fp32-gpu", "fp32-cpu"), ("int8_static", "int8-static"),
        ("int8-rowise", "int8-rowwise"), ("onnx_fp16", "onnx-fp16"), ("candidat", "candidate"), ("int8", "onnx-int8"),
        ("chekpoint", "checkpoint"),
    ],
)  # fmt: skip
def test_a_table_for_nearly_a_class_or_backend_is_refused_with_the_nearest(
    key: str, nearest: str, tmp_path: Path
) -> None:
    keys = known_keys(parse_backends("torch,candidate=model.onnx"))
    with pytest.raises(
        BoundsError, match=rf"\[{key}\]: no test reads a bound for '{key}': .*; the nearest is '{nearest}'"
    ):
        load_bounds(write(tmp_path, ENTRY.replace("fp16", key)), keys=keys)


@pytest.mark.parametrize("key", ["candidate", "onnx-fp16", "fp16", "fp16-cuda", "checkpoint-cpu"])
def test_a_table_for_a_class_or_a_backend_of_the_run_is_read(key: str, tmp_path: Path) -> None:
    keys = known_keys(parse_backends("candidate=model.onnx"))
    bounds = load_bounds(write(tmp_path, ENTRY.replace("fp16", key)), keys=keys)
    assert (key, "max_abs_logit_drift") in bounds
    assert describe_unread([bounds], keys) == []


def test_a_table_that_may_be_for_an_artifact_of_another_run_is_read_and_said_to_be_unread(tmp_path: Path) -> None:
    bounds = load_bounds(write(tmp_path, ENTRY.replace("fp16", "production")), keys=known_keys())
    assert describe_unread([bounds], known_keys()) == [
        "bounds for production were not read: no backend of this run has that name"
    ]


def test_a_reason_of_several_lines_becomes_one(tmp_path: Path) -> None:
    (found,) = load_bounds(write(tmp_path, ENTRY.replace("the largest", "\\nthe\\t largest"))).values()
    assert found.reason == "ten times the largest seen"


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bounds.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BoundsError, match="not valid TOML"):
        load_bounds(tmp_path / "bounds.toml")


def test_a_missing_file_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BoundsError, match=r"no such file or directory; copy the suite's bounds\.toml and change it"):
        load_bounds(tmp_path / "bounds.toml")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BoundsError, match=re.escape(f"bounds file {tmp_path}: ")):
        load_bounds(tmp_path)


KEYS = ("onnx-fp16", "fp16-cuda", "fp16")


def test_bounds_are_looked_up_by_name_then_class_on_the_device_then_class() -> None:
    assert (
        bounds_keys(REGISTRY["onnx-fp16"], RunSettings(threads=1, device=Device("cuda", 1)), multi_label=True) == KEYS
    )


@pytest.mark.parametrize("present", [KEYS, KEYS[1:], KEYS[2:]], ids=["name", "class-on-device", "class"])
def test_the_most_specific_bound_wins(present: tuple[str, ...]) -> None:
    bounds = table(*(bound(key) for key in reversed(present)))
    assert find_bound([bounds], KEYS, "max_abs_logit_drift").key == present[0]


@pytest.mark.parametrize("own", KEYS)
def test_any_bound_of_the_first_file_goes_before_those_of_the_others(own: str) -> None:
    """A class tightened by a user is not loosened by what a suite says of the class on a device, or of a backend."""
    suite = table(*(bound(key, 1.0) for key in KEYS))
    assert find_bound([table(bound(own, 0.5)), suite], KEYS, "max_abs_logit_drift").limit == 0.5


def test_a_bound_of_another_backend_or_metric_is_no_bound() -> None:
    bounds = [table(bound("onnx-fp32"), bound("fp16-cpu"))]
    with pytest.raises(BoundsError):
        find_bound(bounds, KEYS, "max_abs_logit_drift")
    with pytest.raises(BoundsError):
        find_bound(bounds, ("onnx-fp32",), "flip_rate")


def test_a_missing_bound_names_the_keys_and_what_to_add() -> None:
    expected = (
        "no bound for 'flip_rate' under onnx-fp16 or fp16-cuda or fp16; add [fp16.flip_rate] with a limit and a reason"
    )
    with pytest.raises(BoundsError, match=f"^{re.escape(expected)}$"):
        find_bound([table(bound())], KEYS, "flip_rate")


@pytest.mark.parametrize(("value", "outcome"), [(0.01, "pass"), (0.011, "fail"), (math.nan, "fail")])
def test_a_verdict_has_the_value_the_limit_and_what_is_said(value: float, outcome: str) -> None:
    verdict = hold_to_bound([table(bound())], "onnx-fp16", KEYS, "max_abs_logit_drift", exact_limits(value))
    assert (verdict.backend, verdict.metric, verdict.policy) == ("onnx-fp16", "max_abs_logit_drift", "")
    assert (verdict.limit, str(verdict.verdict)) == (0.01, outcome)


def test_the_bound_of_a_metric_under_a_policy_is_its_own() -> None:
    own = Bound("fp16", "row_flip_rate_at_0_5", 0.1, at_most=True, reason="r", set_on=date(2026, 1, 31))
    verdict = hold_to_bound([table(own)], "onnx-fp16", KEYS, "row_flip_rate", exact_limits(0.2), "at 0.5")
    assert (verdict.metric, verdict.policy, verdict.bound) == ("row_flip_rate", "at 0.5", own)


def test_a_metric_without_a_bound_gets_no_verdict() -> None:
    with pytest.raises(BoundsError, match="flip_rate"):
        hold_to_bound([table(bound())], "onnx-fp16", KEYS, "flip_rate", exact_limits(0.0))
