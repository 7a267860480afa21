"""The networks of a run made ready: trained or read, traced, scored, and said."""

from stitchtui.base.errors import RunFailed
from stitchtui.base.work import mapped
from stitchtui.measuring.feed import pixels
from stitchtui.measuring.loaded import Loaded
from stitchtui.measuring.saying import Saying, silent
from stitchtui.measuring.session import Session
from stitchtui.networks.network import Network
from stitchtui.networks.obtain import obtain
from stitchtui.networks.training import Reached
from stitchtui.run.events import Event, NetworkCut, NetworkReady, Step, TaskStarted, Warned
from stitchtui.stitching.stitches import parameter_count

ABOUT_CHANCE = 5.0  # percentage points of error


def make_ready(session: Session, name: str) -> Saying[None]:
    """Obtain the network called `name`, unless it is there; from then on it is in the session."""
    if name in session.loaded:
        return
    yield TaskStarted(task=f"network {name}", steps=1, cuts=[])
    network = yield from _obtained(session, name)
    loaded = session.add(network)
    yield from _check_chain(session, loaded)
    yield network_event(session, loaded)
    for note in (*network.notes, *loaded.traced.notes):
        yield Warned(text=f"{name}: {note}")
    if not loaded.traced.cuts:
        yield Warned(text=f"{name} has no place where one tensor carries everything: nothing to stitch")
    chance = 100 * (1 - 1 / network.classes)
    labels = session.experiment.networks[name].labels
    learned = network.source != "random" and (labels is None or labels.noise == 0)
    if learned and network.error > chance - ABOUT_CHANCE:
        yield Warned(
            text=f"{name} has a test error of {network.error:.1f} %, about chance ({chance:.1f} %): check that the "
            "checkpoint, its architecture, the order of the classes and the normalisation belong together",
        )


def _obtained(session: Session, name: str) -> Saying[Network]:
    networks = session.experiment.networks
    work = obtain(name, networks[name], session.dataset, session.device, networks, given=session.given)
    return mapped(work, lambda reached: _step(name, reached))


def _step(name: str, reached: Reached) -> Event:
    said = {key: value for key, value in vars(reached).items() if value or not key.startswith("epoch")}
    return Step(task=f"network {name}", **said)


def _check_chain(session: Session, loaded: Loaded) -> Saying[None]:
    """Raise RunFailed unless the network as a chain makes the same errors as the network itself."""
    network = loaded.network
    error = (yield from silent(session.score(loaded))).error
    images = len(session.dataset.test)
    if abs(error - network.error) > 100 * max(1, images // 1000) / images + 1e-9:  # ties may fall either way
        raise RunFailed(
            f"network '{network.name}': cut into a chain it has a test error of {error:.2f} %, whole one of "
            f"{network.error:.2f} %; its graph doesn't compute what the network does"
        )


def network_event(session: Session, loaded: Loaded) -> Event:
    """What there is to say of a network: among the rest, where this experiment cuts it."""
    network = loaded.network
    cuts = session.cuts_of(loaded)
    facts = session.chain(loaded, cuts).facts(pixels(session.dataset.test.images[:2]))
    return NetworkReady(
        network=network.name,
        digest=network.digest,
        architecture=network.architecture,
        error=network.error,
        wrong=session.base(loaded).wrong_text,
        parameters=parameter_count(network.module),
        source=network.source,
        mean=list(network.mean),
        std=list(network.std),
        cuts=[
            NetworkCut(name=c.name, shape=list(c.shape), depth=f.depth, parameters=f.parameters)
            for c, f in zip(cuts, facts, strict=True)
        ],
    )
