"""Frames and codecs, without any input or output of their own."""
