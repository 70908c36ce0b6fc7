"""How an artifact is made: export, optimize, convert or quantize; kept in a cache; or checked where someone else made it."""
