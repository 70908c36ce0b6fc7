"""How many examples the property tests try, and whether they are the same ones every time.

This module imports Hypothesis. Only property tests import it, and the plugin where `--hypothesis-profile` names one of
`PROFILES`: other projects do not pay for it, and their own profiles of the same name stay theirs.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from driftgate.plugin.hold import Hold

TOKENIZER_EXAMPLES = 100
MODEL_EXAMPLES = 9
"""Each is a batch, and runs the model several times. What a property always tries counts."""

_DATABASE = Path(".hypothesis/examples")
PROFILES: dict[str, dict[str, Any]] = {
    "ci": {"derandomize": True, "database": None},
    "dev": {"derandomize": False, "database": None},
    "nightly": {"derandomize": False, "database": DirectoryBasedExampleDatabase(_DATABASE)},
}
"""ci, the default: the same few examples every time, nothing read or written. dev: others each time. nightly: many, and
failures are kept in `.hypothesis` and tried first the next night."""

_TIMES_AS_MANY = {"ci": 1, "dev": 3, "nightly": 20}

# Explaining a failure runs the model as often again as finding it did.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink)


def register_profile(name: str) -> None:
    """Make `--hypothesis-profile=NAME` known to Hypothesis, unless it is already.

    Hypothesis' own `ci` is left as it is: property tests take their settings from here by name.
    """
    try:
        settings.get_profile(name)
    except InvalidArgument:
        settings.register_profile(name, deadline=None, **PROFILES[name])


def profile_settings(examples: int) -> settings:
    """Settings in force for a property that tries `examples` examples under `ci`.

    A profile of the user's own keeps its settings; its number of examples is scaled alike.
    """
    # --hypothesis-verbosity makes a profile called "NAME-with-verbose-verbosity" of the one named.
    name = settings.get_current_profile_name().partition("-with-")[0]
    name = "ci" if name == "default" else name
    common: dict[str, Any] = {
        "deadline": None,  # the first call compiles, and machines differ
        "phases": _PHASES,
        "report_multiple_bugs": False,
        "print_blob": False,  # the failure prints an @example instead, which outlives a change of strategy
        "suppress_health_check": (HealthCheck.too_slow,),
    }
    if name in PROFILES:
        return settings(max_examples=examples * _TIMES_AS_MANY[name], **PROFILES[name], **common)
    share = examples / TOKENIZER_EXAMPLES
    return settings(max_examples=max(1, round(settings().max_examples * share)), **common)


def tokenizer_property(examples: int = TOKENIZER_EXAMPLES, **strategies: SearchStrategy[Any]) -> Callable[..., Any]:
    """`@tokenizer_property(texts=generated_batches())`: a property that runs no model."""

    def decorate(function: Callable[..., None]) -> Any:
        return pytest.mark.property(profile_settings(examples)(given(**strategies)(function)))

    return decorate


def model_property(
    *always: Mapping[str, Any], examples: int = MODEL_EXAMPLES, **strategies: SearchStrategy[Any]
) -> Callable[..., Any]:
    """`@model_property(texts=text_batches())`: a property of a backend; the test takes `hold`.

    Args:
        always: examples that are tried under every profile, in this order and before any is drawn. They count: so many fewer
            are drawn.
    """

    def decorate(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def run(hold: Hold, **given_values: Any) -> None:
            __tracebackhide__ = True
            drawn = {name: value for name, value in given_values.items() if name in strategies}
            with hold.example(function.__name__, drawn):
                function(hold=hold, **given_values)

        tried = profile_settings(max(1, examples - len(always)))(given(**strategies)(run))
        for values in reversed(always):
            tried = example(**values)(tried)
        return pytest.mark.property(tried)

    return decorate
