"""Loads the driver that node.json names; only those that are named take memory."""

from node.errors import SettingsError

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Any


def load_driver(name: str, kind: str) -> "Any":
    """Return class Driver of the instrument family `name`.

    Args:
        name: of a folder of drivers/.
        kind: "spectrometer" for `instrument`, "reader" for one of `readers`.

    Raises:
        SettingsError: there is no such family on this board, or it is of another kind.
    """
    try:
        driver = __import__("drivers.%s.driver" % name, None, None, ("Driver",)).Driver
    except ImportError as error:
        if "drivers.%s" % name not in str(error):
            raise  # the family is there, and something it needs is not
        raise SettingsError(
            "node.json: driver is %r; this board has none of that name, see drivers/" % name
        )
    if kind != driver.KIND:
        raise SettingsError(
            "node.json: driver %r is a %s; a %s is needed there" % (name, driver.KIND, kind)
        )
    return driver
