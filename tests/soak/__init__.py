"""An hour's worth of good and bad streams in a few minutes; nothing may be lost, and nothing left behind."""
