"""Figures beside a peer in one run, `make bench`: they test nothing but their own count."""
