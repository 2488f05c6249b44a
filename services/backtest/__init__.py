"""`ebbwatch backtest`: what rules would have said of past events, from files, without a broker."""
