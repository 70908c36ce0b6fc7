"""Is a published model used as it was judged? Its folder's tokenizer, labels, problem type and thresholds decide that.

Collected where `--backends` has a published file or folder, `name=PATH`.
"""

import pytest


def test_what_ships_with_the_model_is_what_it_was_judged_with(shipped, backend_spec, results):
    """Tokens, limit, padding, labels, problem type, thresholds and the checkpoint it was made from are the encoder's."""
    if not shipped.differences and shipped.lacking:
        pytest.skip(
            f"{backend_spec.name}: {backend_spec.published} comes without {' and '.join(shipped.lacking)}, so the model was "
            "judged by its graph alone; its users have to bring the rest"
        )
    results.of(backend_spec.name).check(passed=not shipped.differences)
    if shipped.differences:
        lines = [
            f"{backend_spec.name}: what ships with {backend_spec.published} is not what the model was judged with:",
            *(f"  {difference}" for difference in shipped.differences),
            "put the encoder's own files beside the model, as driftgate build does, or judge it against its own encoder",
        ]
        pytest.fail("\n".join(lines), pytrace=False)
