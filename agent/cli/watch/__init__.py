"""The view: a client of the feed that holds nothing a reconnect does not bring back."""
