"""Metrics of runs as OpenMetrics has them."""

import report_documents as documents

from driftgate.report.page.node import Node
from driftgate.report.page.open_metrics import render_metrics
from driftgate.report.page.runs import view_run


def render(*found: dict[str, object]) -> str:
    return render_metrics([view_run(Node(one, "results"), "results.json") for one in found])


def test_every_metric_and_size_has_a_line() -> None:
    lines = render(documents.passing()).splitlines()
    assert lines[-1] == "# EOF"
    assert 'driftgate_relative_logit_error{encoder="emotions",backend="onnx-int8"} 0.004' in lines
    assert 'driftgate_row_flip_rate{encoder="emotions",backend="onnx-int8",policy="at 0.5"} 0' in lines
    assert 'driftgate_size_bytes{encoder="emotions",backend="onnx-fp32"} 1.5e+07' in lines


def test_what_differs_by_less_than_its_digits_is_the_same_line() -> None:
    runs = [documents.document({"a": documents.backend(scale, "pass")}, "pass", 0) for scale in (4.01e-4, 4.04e-4)]
    assert render(runs[0]) == render(runs[1])


def test_names_of_others_stay_within_their_label() -> None:
    for line in render(documents.hostile()).splitlines()[:-1]:
        assert line.startswith("driftgate_")
        assert line.count('"') - line.count('\\"') in (4, 6)
