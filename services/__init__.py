"""The three services of Ebbwatch, what they share, and the command line."""
