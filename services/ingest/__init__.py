"""Takes events in over HTTP and Kafka and writes them, in envelopes, into one ordered log."""
