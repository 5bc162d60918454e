"""Making a post, and looking at one that is made: `harmattan init`."""
