"""The engine in the package: its file, its card, and the code that makes and measures both."""
