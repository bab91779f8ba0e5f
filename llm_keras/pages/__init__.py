"""Pages to read from disk: markup that escapes, one look, small charts as SVG, no script.

Needs nothing but Python, so that a Beam job can write one too.
"""
