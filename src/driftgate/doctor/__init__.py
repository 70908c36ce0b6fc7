"""Why is it slow, big or wrong here? Facts of a machine and a model, and what is to be said about them.

Facts are read at the edges (`read_*.py`) into the frozen records of `facts.py`; checks (`check_*.py`) are pure functions from
facts to findings. A fact that cannot be read is a finding too, never an exception.
"""
