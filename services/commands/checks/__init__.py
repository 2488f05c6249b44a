"""What `ebbwatch doctor` looks at, one module an area: `look` asks, `judge` says what it means."""
