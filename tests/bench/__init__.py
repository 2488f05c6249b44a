"""Figures beside a peer in one run: `make bench`. They report; they test nothing but their count."""
