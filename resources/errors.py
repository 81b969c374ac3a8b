"""The base of every error that a user can cause."""


class UserError(Exception):
    """Its message alone is shown: what was found, what was expected, what to do."""

    exit_code = 2
    """What the command line ends with: 2 for a wrong use, 1 for an error of the platform."""


class PermanentFailure(Exception):
    """Doing the same again would fail the same way: a person, or other code or configuration, has to come first."""


class TransientFailure(Exception):
    """What is outside was away, busy or full: doing the same again later may well work."""
