"""Tests of services/alerts/api."""
