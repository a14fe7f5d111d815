"""What every page reads and no request changes: the bank, the records, and the judgements of claims."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app

from steelyard import evidence
from steelyard.bank.load import Loader
from steelyard.bank.model import Bank
from steelyard.claims import Claim
from steelyard.evidence import Judgement, Records
from steelyard.live import Live
from steelyard.remember import remembered
from steelyard.settings import Settings
from steelyard.web.app.languages import language

EXTENSION = "steelyard"
NAMELESS = "Steelyard"
"""What a site is called whose bank has no title of its own."""


@dataclass(frozen=True)
class State:
    """One per application. Questions and records are as they stand in their folders, at most a second old."""

    settings: Settings
    live_bank: Live[Bank]
    live_records: Live[Records]

    @classmethod
    def read(cls, settings: Settings) -> State:
        """Read both folders."""
        loader = Loader(memory=settings.data / "exams.json")
        return cls(settings, Live(loader, settings.questions), Live(evidence.load, settings.results))

    @property
    def bank(self) -> Bank:
        return self.live_bank.value

    @property
    def records(self) -> Records:
        return self.live_records.value


def init_app(app: Flask, settings: Settings) -> None:
    """Read both folders, and tell every page what the site is called and whether it is about techniques."""
    app.extensions[EXTENSION] = State.read(settings)

    @app.context_processor
    def site() -> dict[str, object]:
        bank = state().bank
        return {"site_title": bank.title(language()) or NAMELESS, "about_techniques": bank.names_techniques}


def state() -> State:
    """Return the state of the application that handles this request."""
    current: State = current_app.extensions[EXTENSION]
    return current


def judgements(claims: tuple[Claim, ...], records: Records | None = None) -> dict[str, Judgement]:
    """Return the judgement of each claim, by the claim's id, in the order of the claims."""
    records = state().records if records is None else records
    return {claim.id: _judge(records, claim) for claim in claims}


@remembered(2048, by="identity")
def _judge(records: Records, claim: Claim) -> Judgement:
    return evidence.judge(claim, records)
