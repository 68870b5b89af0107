"""`notify:` in a recipe: who is told of the run while nobody looks at it, through apprise. URLs are secrets here.

A URL may hold a password, so no message shows more of one than its scheme. `${NAME}` stands for a variable of the
environment of the host and is looked up when something is sent: what it stands for is written nowhere.
"""

import os
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from cockpit.cards import knobs_of
from cockpit.recipe.faults import Place, RecipeError, fault
from cockpit.recipe.hints import key_hint, near
from cockpit.recipe.members import Decoding, fill
from cockpit.recipe.nodes import Entry, List, Map, Node, Scalar
from cockpit.recipe.values import Notify

if TYPE_CHECKING:
    from apprise import NotifyBase

EXAMPLE = '`urls: ["${MY_URL}"]`'
_NAME = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))", re.ASCII)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,19})://")


def decode_notify(work: Decoding, node: Node | None, place: Place) -> Notify | None:
    """The section's value; None where there was a fault. A URL alone stands for a list of one."""
    if isinstance(node, (Scalar, List)):
        work.blame(node.place, "notify", f"expected a mapping such as {EXAMPLE}")  # it may be a URL: not shown
        return None
    entries = dict(node.entries) if isinstance(node, Map) else {}
    names = [each.name for each in knobs_of(Notify)]
    for key in [key for key in entries if key not in names]:
        entry = entries.pop(key)
        said, hint = (scheme_of(key), f"write {EXAMPLE}") if ":" in key else (repr(key[:40]), key_hint(key, names))
        work.blame(entry.place, "notify", f"unknown key {said}", hint)
    for name, entry in entries.items():
        if isinstance(entry.value, Scalar) and not entry.value.null:
            entries[name] = Entry(name, entry.place, List(entry.value.place, (entry.value,)))
    found: Notify | None = fill(work, Notify, knobs_of(Notify), entries, "notify", place)
    return found


def scheme_of(url: str) -> str:
    """As much of a URL as may be shown: `discord://`, or what it is where it has no scheme."""
    if found := _SCHEME.match(url):
        return f"{found[1]}://"
    return url if _NAME.fullmatch(url) else "a text without a scheme"


def resolved(url: str) -> str:
    """The URL with the environment's values. Raises KeyError with the name of a variable that is not set."""
    return _NAME.sub(lambda found: os.environ[found[1] or found[2]], url)


@cache
def services() -> frozenset[str]:
    """The schemes that apprise knows. ImportError where it is not installed."""
    import logging

    from apprise import NotificationManager

    logging.getLogger("apprise").disabled = True  # it may quote URLs, and what it says belongs in no log of ours
    manager: Any = NotificationManager  # it has no annotations
    return frozenset(manager().schemas())


def messenger(url: str) -> "NotifyBase":
    """What sends to a URL. Raises ValueError with a sentence that shows no more of it than its scheme; ImportError."""
    known = services()
    from apprise import Apprise, AppriseAsset

    try:
        plain = resolved(url)
    except KeyError as error:
        hint = "; a dollar sign that is meant as one is written %24"
        raise ValueError(f"the environment has no variable {error.args[0]}, which {scheme_of(url)} needs{hint}") from None
    asset = AppriseAsset(app_id="cockpit", app_desc="cockpit", async_mode=False, secure_logging=True)
    made = Apprise.instantiate(plain, asset=asset)
    if made is not None:
        return made
    shown = scheme_of(plain)
    if shown.endswith("://") and shown.removesuffix("://").lower() not in known:
        raise ValueError(": ".join(filter(None, [f"apprise knows no service {shown}", near(shown[:-3], known)])))
    raise ValueError(f"apprise cannot read this URL ({shown}): a part is missing or misspelt")


def check(notify: Notify) -> None:
    """Raise RecipeError where nothing could be sent: the library is missing, a service unknown, a variable not set."""
    faults = []
    for index, url in enumerate(notify.urls):
        try:
            messenger(url)
        except ImportError:
            message = "needs a package that is not installed; pip install 'training-cockpit[notify]'"
            raise RecipeError([fault(Place("recipe"), "notify", message)]) from None
        except ValueError as error:
            faults.append(fault(Place("recipe"), f"notify.urls[{index}]", str(error)))
    if faults:
        raise RecipeError(faults)
