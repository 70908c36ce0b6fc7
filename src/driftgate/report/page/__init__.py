"""The report of a run for people who did not start it: an HTML page and a Markdown summary, from `results.json`."""
