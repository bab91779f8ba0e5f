"""The web: HTTP messages, encodings, text of pages, opt-outs, and polite fetching."""
