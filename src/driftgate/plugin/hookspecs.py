"""Hooks that a user's `conftest.py` may implement."""

from collections.abc import Iterable, Mapping

import pytest

from driftgate.backends import BackendSpec


@pytest.hookspec
def pytest_driftgate_backends(config: pytest.Config) -> Iterable[BackendSpec]:  # type: ignore[empty-body]
    """Register backends of your own; they can then be named in `--backends`.

    A recipe over the exported graph::

        def pytest_driftgate_backends(config):
            steps = ("export", "optimize-basic", Step("halve-head", "1", halve_head))
            return [BackendSpec("onnx-half-head", Precision.FP16, Runtime.ONNXRUNTIME, steps)]

    A runtime that driftgate does not know is given as `open_with=function`, which is called with the encoder, the artifact
    (or None) and the run settings and returns a `driftgate.run.backend.Backend`.
    """


@pytest.hookspec
def pytest_driftgate_defaults(config: pytest.Config) -> Mapping[str, str]:  # type: ignore[empty-body]
    """Values for options that neither the command line nor an ini file gives, by option name ("encoder", "corpus")."""
