"""The alerts service as it is, on a Kafka, endpoints and a clock that a test moves by hand."""
