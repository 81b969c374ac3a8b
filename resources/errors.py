"""The base of every error that a user can cause."""


class UserError(Exception):
    """Its message alone is shown: what was found, what was expected, what to do."""
