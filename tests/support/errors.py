"""What a traceback shows of an error."""


def message_of(error: object) -> str:
    """The message, and the notes under it: the hint is one."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])
