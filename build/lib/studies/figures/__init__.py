"""The figures of the chapters, a module each."""
