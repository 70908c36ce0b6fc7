"""Is the graph of every ONNX backend sound, and the one that was reviewed? Facts of the file, no timing."""

import pytest

from driftgate.onnx_graph.graph_lint import lint_graph


def test_nothing_is_wrong_with_the_graph(graph_facts, built, results):
    """Axes are dynamic, attention fits the configuration, INT8 is integer work, nothing is stored twice."""
    findings = lint_graph(graph_facts, built.spec.precision)
    entry = results.of(built.spec.name)
    entry.findings = findings
    entry.check(passed=not findings)
    if findings:
        pytest.fail("\n".join([f"{built.spec.name}: the graph is not sound", *map(str, findings)]), pytrace=False)


def test_graph_is_the_locked_one(graph_facts, graph_lock, built, results):
    """No fact of the graph changes unseen. Collected where there is a lock (`--graph-lock`)."""
    name = built.spec.name
    if built.spec.published and name not in graph_lock and not graph_lock.update:
        pytest.skip(f"{name}: a published artifact that is not in the lock; --graph-lock-update takes it in")
    if graph_lock.of_another_device and not graph_lock.update:
        pytest.skip(
            f"{graph_lock.path} is of graphs built for {graph_lock.lock.device}; give this device a lock of its own"
        )
    judge = graph_lock.write if graph_lock.update else graph_lock.describe_break
    broken = judge(name, graph_facts)
    results.of(name).lock = broken.splitlines()
    results.of(name).check(passed=not broken)
    if broken:
        pytest.fail(broken, pytrace=False)
