"""The errors that mean something to whoever catches them."""


class UserError(ValueError):
    """What went wrong, with which file or value, and what to do: one or two sentences, in the person's words.

    Pages show its text as it is; the command line prints it and exits with status 2. Every other exception is a bug:
    it goes to the log, and the person sees only the log's id.
    """


OUT_OF_MEMORY = "The computation needed more memory than there is. Try a smaller size, a smaller batch or fewer images."
WENT_WRONG = (
    "Something went wrong inside Layerscope (log id {id}). "
    "Try again; if it happens again, look for this id in the log of the server."
)


class TooLarge(MemoryError):
    """A computation did not fit into memory, and the next attempt will need less: try it again, in a fresh process."""
