"""CHIP Collect: its rules as tables."""
