"""The commands of `ebbwatch`, a module each."""
