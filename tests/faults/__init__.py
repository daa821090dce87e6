"""Every fault of `firsttoken.testing`, put in the way of every client."""
