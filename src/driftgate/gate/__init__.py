"""The speed gate: is every artifact as fast as the one of the last accepted run, timed again in the same session?"""
