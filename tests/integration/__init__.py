"""Tests against Apache Kafka and Valkey on loopback."""
