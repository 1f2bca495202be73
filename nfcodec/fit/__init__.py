"""The encoder's half: torch twins of the fields, the rate model, and the loop that fits them to a signal."""
