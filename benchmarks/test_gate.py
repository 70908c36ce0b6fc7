"""Is every backend as fast as the artifact of the last accepted run? Only with --gate: both are timed side by side."""


def test_no_slower_than_the_baseline(speed_verdict):
    """A slowdown of --gate-detect is found, an equal artifact is not called slower; what cannot be told fails too."""
    speed_verdict.require()
