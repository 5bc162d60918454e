"""The nodes of the post: who they are, what they are told."""
