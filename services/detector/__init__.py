"""Folds the event log into facts per account and judges rules over them."""
