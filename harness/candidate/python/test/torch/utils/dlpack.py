from .. import from_dlpack  # noqa: F401
