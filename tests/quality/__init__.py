"""How good detection is, measured on real accounts: `make quality`."""
