"""Tests without network: the pure floors, in seconds."""
