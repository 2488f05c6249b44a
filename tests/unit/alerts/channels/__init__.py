"""Tests of services/alerts/channels."""
