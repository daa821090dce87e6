"""The data types, a file per part of the API reference; `firsttoken.types` is their public module."""
