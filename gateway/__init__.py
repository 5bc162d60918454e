"""The gateway of a border post: takes readings in, decides what they show, gets alerts out."""
