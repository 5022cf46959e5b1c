"""Maverick: its rules as tables."""
