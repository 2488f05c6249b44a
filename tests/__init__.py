"""Tests of Ebbwatch."""
