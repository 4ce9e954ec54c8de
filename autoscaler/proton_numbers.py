"""What is written down of single protons at each decision; `proton_metrics` shows it."""

from dataclasses import dataclass

from autoscaler.core.accounts import Flaps, Provisioning
from autoscaler.core.observation import Scaling
from controlplane.model.decisions import Reason


@dataclass(slots=True)
class ProtonNumbers:
    """What is known of one proton for a scrape."""

    workload_id: str
    flaps: Flaps
    provisioning: Provisioning
    reason: Reason = Reason.NO_DATA
    wanted: int = 0
    granted: int = 0
    ready: int = 0
    pending: int = 0
    mean_stable: float | None = None
    mean_panic: float | None = None
    scaling: Scaling | None = None
    targets: tuple[float, ...] = ()
    """`scaling.load_targets()`."""


class Tally:
    """The numbers of all protons; those that are gone leave at once."""

    def __init__(self, *, flap_window_s: float) -> None:
        """Begin without protons.

        Args:
            flap_window_s: A change of direction within this is a flap.
        """
        self._flap_window_s = flap_window_s
        self.protons: dict[str, ProtonNumbers] = {}
        """By id."""

    def of(self, workload_id: str, proton_id: str) -> ProtonNumbers:
        """A proton's numbers, to be written."""
        numbers = self.protons.get(proton_id)
        if numbers is None:
            numbers = self.protons[proton_id] = ProtonNumbers(
                workload_id=workload_id,
                flaps=Flaps(self._flap_window_s),
                provisioning=Provisioning(),
            )
        return numbers

    def forget(self, proton_id: str) -> None:
        """The proton is gone, and so are its series."""
        self.protons.pop(proton_id, None)
