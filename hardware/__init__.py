"""The room of the boards: what a node and a post are built from, and the bench that flashes them.

The package is empty of code today; README.md says what the room is for and what is not there yet.
"""
