"""Sends entries into `events.v1`: queues per partition, envelopes, a producer that goes on."""
