"""An example of each known deviation, written by hand, and what is to be made of it."""
