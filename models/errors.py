# SPDX-License-Identifier: Apache-2.0
"""Errors of the models room.

Every message reads: where; what must hold, what came; what to do.
"""


class ModelError(ValueError):
    """A model name, definition or archive that cannot be used."""


class DataError(ValueError):
    """A data set that is missing, damaged or of the wrong shape."""


class CheckpointError(ValueError):
    """A weight file that is missing, damaged or of another model."""
