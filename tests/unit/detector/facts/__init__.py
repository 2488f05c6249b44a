"""Tests of the fact families."""
