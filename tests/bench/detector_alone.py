"""Figure: the detector on envelopes that are there already, until the state is durable.

The clock starts when the detector is ready, that is, when its snapshots are loaded and it is about
to read, and stops when the last partition's ledger is committed with its last event.
"""
