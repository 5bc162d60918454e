"""The contract that every driver keeps, whatever its instrument does."""
