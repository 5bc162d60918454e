"""What can be wrong with what a simulator is asked to do.

Every message names the thing, its value and what would do::

    ValueError
    ├── WorldError          a sample, container or measured file that cannot be presented
    │   └── ScenarioError   a scenario file that cannot be used
    └── FaultError          a fault that cannot be read or does not fit
    HeadquartersError       the headquarters cannot be opened as asked
    InvalidAlertError       one delivery is refused for good (in authority.py, with its status)
"""


class WorldError(ValueError):
    """A sample that cannot be presented."""


class ScenarioError(WorldError):
    """A scenario file that cannot be used: file, table, key, value and what would do."""


class FaultError(ValueError):
    """A fault that cannot be read, or that does not fit where it is used."""


class HeadquartersError(Exception):
    """The headquarters cannot be opened as asked."""
