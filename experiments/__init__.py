"""What was tried, kept so that it can be tried again; docs/performance.md says what came out."""
