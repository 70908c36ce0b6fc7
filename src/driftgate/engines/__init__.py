"""Engines that give the shards of a plan to workers on other machines, and see to it that each is scored."""
