"""What is kept: the journal, which is the truth, and the database, which is its projection.

Start with `entries` (what happened) and `records` (what is configured).
"""

__all__: list[str] = []
