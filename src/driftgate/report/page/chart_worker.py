"""Draws charts in a process of its own: what ends it, as a fault of the drawing library would, ends nobody else.

It reads a JSON list of Vega-Lite specifications and writes a line for each: its SVG as a JSON string.
"""

import json
import sys


def main() -> None:
    """Draw them in order; each is written at once, so that those before a fault are kept."""
    import vl_convert

    asked = json.load(sys.stdin)
    for chart in asked["charts"]:
        # No address is allowed, so that nothing in a chart can be fetched.
        svg = vl_convert.vegalite_to_svg(chart, vl_version=asked["vega_lite"], allowed_base_urls=[])
        print(json.dumps(svg), flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
