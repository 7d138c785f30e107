"""Tests of one call and its endpoints."""
