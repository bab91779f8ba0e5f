"""Office documents, printed pages and mails to text."""
