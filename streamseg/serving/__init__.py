"""A run seen and changed from outside: the live page, the HTTP API, the metrics. Knows no pipeline."""
