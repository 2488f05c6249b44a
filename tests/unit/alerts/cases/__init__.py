"""Tests of services/alerts/cases."""
