"""The library and the watchlists that verdicts are made from."""

from typing import Final

from gateway.doctor.finding import Found, bad, check, look, ok
from gateway.doctor.scene import Scene
from gateway.journal.differences import read_progress
from gateway.screening.watchlists import WatchlistError
from gateway.spectra.errors import SpectraError
from gateway.units import named

FAULTS_MAX: Final = 20  # that are told one by one


def _several(texts: list[str], well: str) -> Found | list[Found]:
    """Return each text as a fault, or that all is well."""
    if not texts:
        return ok(well)
    found = [bad(text) for text in texts[:FAULTS_MAX]]
    if len(texts) > FAULTS_MAX:
        found.append(bad(f"and {len(texts) - FAULTS_MAX} more; `harmattan library verify`"))
    return found


@check(
    "library.tables",
    cause="Files of the installed package were changed or damaged.",
    remedy="Install the package again.",
)
def tables(scene: Scene) -> Found:
    """The shipped tables and lists can be used."""
    try:
        loaded, _ = scene.library, scene.lists
    except (SpectraError, WatchlistError) as error:
        return bad(str(error))
    return ok(f"{len(loaded.library.substances)} substances, version {loaded.library.version}")


@check(
    "library.packages",
    cause="A package or specimen was damaged, changed after it was signed, or contradicts the"
    " rest.",
    remedy="`harmattan library import` a good one from its issuer, or remove it.",
)
def packages(scene: Scene) -> Found | list[Found]:
    """Signatures and contents of what was added here."""
    loaded = scene.library
    texts = [text for text in loaded.faults if text not in loaded.untrusted]
    count = len(loaded.packages)
    return _several(
        texts, f"{count} packages with good signatures, {len(loaded.specimens)} specimens"
    )


@check(
    "library.trust",
    cause="The key that signed it was never trusted here, or was removed from `trusted`.",
    remedy="`harmattan library trust` the key if its owner is known to you, else remove the"
    " package.",
)
def trust(scene: Scene) -> Found | list[Found]:
    """No package lies there whose key is not trusted."""
    return _several(sorted(scene.library.untrusted), "every package is of a trusted key")


@check(
    "library.lists",
    cause="A national list is faulty, has expired, or was replaced by a newer one.",
    remedy="Get the new edition and put it into `screening.lists_directory`, or correct the file.",
)
def lists(scene: Scene) -> Found | list[Found]:
    """The watchlists can be used and are in force."""
    found = scene.lists
    day = scene.now.date()
    selection = found.on(day)
    notices = [
        look(f"list {each.list_id}: {notice}", each.list_id)
        for each in selection.watchlists.lists
        if (notice := each.notice_on(day))
    ]
    faults = [bad(text) for text in found.faults[:FAULTS_MAX]]
    return faults + notices or ok(f"{len(selection.watchlists.lists)} lists in force")


@check(
    "library.doubt",
    cause="A specimen that was imported looks like another substance, or like a listed one.",
    remedy="`harmattan library show` it; confirm it with a reason, or remove it. It is not in use.",
)
def doubt(scene: Scene) -> Found:
    """No specimen is left out because of doubt."""
    names = [key for key, (each, _) in scene.library.specimens.items() if not each.is_usable]
    return look(f"in doubt: {named(sorted(names))}") if names else ok("no specimen is in doubt")


@check(
    "library.current",
    cause="Something newer is faulty, so that what was in force stays; or it was just changed.",
    remedy="Mend what `library.packages` and `library.lists` name; a change is taken over within a"
    " minute.",
)
def current(scene: Scene) -> Found | list[Found]:
    """The gateway judges by what the folders hold."""
    progress = read_progress(scene.journal.connection)
    if progress is None:
        return ok("the gateway has noted none yet")
    if progress.faults:
        return _several(list(progress.faults), "")
    version = scene.library.library.version
    if scene.running and progress.library_version != version:
        return look(f"judged by {progress.library_version}, the folder holds {version}")
    return ok(f"judged by {progress.library_version}")
