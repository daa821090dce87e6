"""`firsttoken.batch`, against the scripted server."""
