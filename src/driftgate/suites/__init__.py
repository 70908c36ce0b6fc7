"""The accuracy and benchmark suites, as the wheel carries them: `pytest --pyargs driftgate.suites --encoder DIR --corpus FILE`.

In a checkout they are the folders `accuracy/` and `benchmarks/` at the top.
"""
