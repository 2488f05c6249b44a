"""Tests of the vocabulary that the services share."""
