"""`tidegate replay`: a recorded decision made again, offline, from its own basis."""

import sys
from typing import Annotated

import msgspec
import typer

from autoscaler.core import basis as bases
from autoscaler.core.again import Difference, differences
from autoscaler.core.basis import Basis
from autoscaler.replay.errors import ReplayError
from autoscaler.version import code_version
from controlplane.model.decisions import Decision, Reason, Step
from controlplane.model.explain import change, number
from controlplane.model.grants import Grant, Refusal


class RecordedGrant(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What capacity arbitration left of it, as far as replaying needs that."""

    granted: int
    refusal: Refusal
    position: int
    line: int
    decided_reason: str
    note: str

    def grant(self) -> Grant:
        """In the model's form."""
        return Grant(
            granted=self.granted,
            refusal=self.refusal,
            position=self.position,
            line=self.line,
            since=0.0,
            decided_reason=self.decided_reason,
            note=self.note,
        )


class Recorded(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A decision as `GET .../workloads/{id}/decisions/{decisionId}` tells it."""

    id: str
    workload_id: str
    proton_id: str
    replicas: int
    previous_replicas: int
    reason: Reason
    steps: tuple[Step, ...]
    inputs: dict[str, float | None]
    next: str
    grant: RecordedGrant | None = None
    basis: msgspec.Raw
    code_version: str

    def decision(self, at: float) -> Decision:
        """In the model's form."""
        return Decision(
            id=self.id,
            at=at,
            workload_id=self.workload_id,
            proton_id=self.proton_id,
            replicas=self.replicas,
            previous_replicas=self.previous_replicas,
            reason=self.reason,
            steps=self.steps,
            inputs=self.inputs,
            next=self.next,
            grant=self.grant.grant() if self.grant is not None else None,
        )


def replay(
    file: Annotated[
        typer.FileBinaryRead,
        typer.Argument(
            metavar="FILE",
            help="The record as the API answers it, in JSON. Default: standard input.",
        ),
    ] = "-",  # type: ignore[assignment]  # typer opens it
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Make a recorded decision again, from its own basis, and compare bit for bit.

    Exit code 1: it came out otherwise.
    """
    recorded, basis = read(file.read())
    again, found = differences(recorded.decision(basis.observation.at), basis)
    same_code = recorded.code_version == code_version()
    if as_json:
        told = {
            "id": recorded.id,
            "identical": not found,
            "recordedBy": recorded.code_version,
            "replayedBy": code_version(),
            "replicas": again.replicas,
            "reason": again.reason,
            "differences": found,
        }
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(told)).decode() + "\n")
    else:
        sys.stdout.write(as_text(recorded, basis, again, found, same_code=same_code) + "\n")
    if found:
        raise typer.Exit(1)


def read(body: bytes) -> tuple[Recorded, Basis]:
    """A record and its basis.

    Raises:
        ReplayError: It is none, or has no basis.
    """
    try:
        recorded = msgspec.json.decode(body, type=Recorded)
        if bytes(recorded.basis) == b"null":
            raise ReplayError(
                f"decision {recorded.id} has no basis",
                hint="A version that kept none made it; later decisions can be replayed.",
            )
        return recorded, bases.decode(recorded.basis)
    except msgspec.DecodeError as exc:
        raise ReplayError(
            f"this is not a recorded decision: {exc}",
            hint="Give the JSON that GET .../workloads/{id}/decisions/{decisionId} answers.",
        ) from exc


def as_text(
    recorded: Recorded,
    basis: Basis,
    again: Decision,
    found: list[Difference],
    *,
    same_code: bool,
) -> str:
    """Both decisions, and the verdict."""
    old = recorded.decision(basis.observation.at)
    rows = [
        ("", "recorded", "replayed"),
        ("decision", f"{change(old)} ({old.reason})", f"{change(again)} ({again.reason})"),
        ("code", recorded.code_version or "unknown", code_version()),
    ]
    steps = {step.name: step for step in old.steps}
    rows += [(s.name, _step(steps.pop(s.name, None)), _step(s)) for s in again.steps]
    rows += [(step.name, _step(step), "added after the decision") for step in steps.values()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in rows]
    lines += ["", *(f"differs: {one.part}: {one.recorded!r} -> {one.again!r}" for one in found)]
    if not found:
        lines.append("bit-identical")
    elif not same_code:
        lines.append("Another version of the code made it: it may well decide otherwise.")
    else:
        lines.append("The same code made it: the record, or this program, was changed.")
    return "\n".join(lines)


def _step(step: Step | None) -> str:
    return "-" if step is None else f"{number(step.value)}  {step.note}"
