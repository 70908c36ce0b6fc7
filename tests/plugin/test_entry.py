"""What driftgate costs, and says, in runs of pytest that have nothing to do with it."""

import pytest

_HEAVY = ("numpy", "rich", "scipy", "sklearn", "torch", "transformers", "driftgate.plugin.hooks")
_QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:benchmark")


def test_an_unrelated_run_loads_the_options_alone(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]")
    pytester.makepyfile(f"import sys\ndef test_own(): assert not {set(_HEAVY)!r} & set(sys.modules)")
    assert pytester.runpytest_subprocess(*_QUIET).ret == 0


def test_an_unrelated_project_may_have_fixtures_of_our_names(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]")
    pytester.makeconftest(
        "import pytest\n@pytest.fixture\ndef driftgate(): return 1\n@pytest.fixture\ndef gate(driftgate): return 2"
    )
    pytester.makepyfile("def test_own(gate, driftgate): assert (gate, driftgate) == (2, 1)")
    assert pytester.runpytest_inprocess(*_QUIET).ret == 0


@pytest.mark.parametrize("fixture", ["driftgate", "judgement"])
def test_a_test_that_asks_for_our_fixture_without_an_encoder_is_told_so(
    pytester: pytest.Pytester, fixture: str
) -> None:
    pytester.makeini("[pytest]")
    pytester.makepyfile(f"def test_own({fixture}): pass\ndef test_other(): pass\ndef test_unknown(nobodys): pass")
    done = pytester.runpytest_inprocess(*_QUIET)
    done.assert_outcomes(passed=1, errors=2)
    said = done.stdout.str()
    assert f"driftgate has a fixture of the name {fixture}, in runs that name an encoder" in said
    assert "the name nobodys" not in said


@pytest.mark.parametrize(
    ("arguments", "ini", "conftest"),
    [
        (["--driftgate-threads=1"], "", ""),
        ([], "driftgate_threads = 1", ""),
        ([], "", "def pytest_driftgate_defaults(config): return {'threads': '1'}"),
        ([], "", "def pytest_driftgate_backends(config): return []"),
        (["--fixtures"], "", ""),
        (["--markers"], "", ""),
    ],
    ids=["option", "ini", "defaults", "backends", "fixtures", "markers"],
)
def test_a_run_that_has_to_do_with_us_has_the_plugin(
    pytester: pytest.Pytester, arguments: list[str], ini: str, conftest: str
) -> None:
    pytester.makeini(f"[pytest]\n{ini}")
    pytester.makeconftest(conftest)
    pytester.makepyfile("def test_own(): pass")
    loaded = []

    class Spy:
        def pytest_unconfigure(self, config: pytest.Config) -> None:
            loaded.append(config.pluginmanager.hasplugin("driftgate-hooks"))

    pytester.inline_run(*_QUIET, *arguments, plugins=[Spy()])
    assert loaded == [True]
