"""Search by a few scorer calls and a factorisation of the rest: ANNCUR, ADACUR and AXN in one engine."""
