"""The UI as a person meets it: a real `strandline dev`, a real browser."""
