"""The vocabulary that the three services share: events, envelopes, alerts, accounts, topics."""
