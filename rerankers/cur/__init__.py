"""Search by a few scorer calls and a factorization of the rest: ANNCUR, ADACUR and AXN in one engine."""
