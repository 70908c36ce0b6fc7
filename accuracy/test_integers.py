"""Are the integer products of an INT8 backend exact on this processor?

Sums that a processor cuts off look like a little more rounding, which no comparison with float32 can tell from it.
"""

import pytest


def test_integer_products_are_exact_on_this_processor(integer_products, built, results):
    """Computed again on a few rows, every int32 sum of the artifact's own weights is the one that NumPy finds."""
    name, found = built.spec.name, integer_products
    results.of(name).check(passed=not found.wrong)
    if found.wrong:
        pytest.fail(
            f"{name}: expected exact sums in all {found.products} integer products, found {found.wrong:,} of {found.sums:,} "
            f"wrong, in {found.wrong_products} products, by up to {found.largest_error:,}. x86 processors without VNNI cut "
            "sums of two products off at 16 bits: the answers here are not those of other processors. `driftgate doctor` says "
            "which weights can overflow; take onnx-int8, whose weights are small enough, or a processor with VNNI",
            pytrace=False,
        )
