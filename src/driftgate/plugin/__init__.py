"""The pytest plugin: options, fixtures, hooks. The only place that imports pytest."""
