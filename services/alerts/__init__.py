"""Turns alerts into cases and tells the right person."""
