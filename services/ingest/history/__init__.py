"""Past events from files, played through the log in the order of their time (design.md §4)."""
