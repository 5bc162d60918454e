"""The room of the boards: what a node and a post are built from, and the bench that flashes them.

`keys` makes the certificates of a post. README.md says what is not there yet.
"""
