"""The one error that is meant for people."""


class UserError(ValueError):
    """Something that a user asked for cannot be done; the message is one sentence that tells the cure."""
