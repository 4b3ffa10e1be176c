"""From a tree to a report: lexical pass, graph, lowering, trails, rules, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from msgspec.structs import replace

from tallystick.audit import verdict
from tallystick.audit.cache.facts import Cache
from tallystick.audit.case import arrears, joins, libraries, services
from tallystick.audit.case.beside import beside
from tallystick.audit.case.case import Case
from tallystick.audit.case.endpoints import endpoints_of
from tallystick.audit.case.gathering import Gathering, Progress
from tallystick.audit.case.internal import begun
from tallystick.audit.case.plans import at_changes_of_plan
from tallystick.audit.case.scheduled import scheduled
from tallystick.audit.case.switches import shut
from tallystick.audit.case.unheard import silence
from tallystick.audit.case.unused import unused
from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.corpus.versions import is_quiet, pinned
from tallystick.audit.entries import crontabs, timetables
from tallystick.audit.entries.entries import Entries
from tallystick.audit.entries.schedules import Schedule
from tallystick.audit.handbook.remedies import fitting
from tallystick.audit.inventory.kinds import is_page, is_script
from tallystick.audit.model import Coverage, Endpoint, Finding, Hop, Options, Place, Profile, Report
from tallystick.audit.models.knowledge import Knowledge
from tallystick.audit.offers.offers import Offers, shown
from tallystick.audit.program.program import Program
from tallystick.audit.rules import RULES
from tallystick.audit.rules.neighbours import NEIGHBOURS
from tallystick.audit.trails import sites
from tallystick.audit.trails.labels import Labelling
from tallystick.audit.trails.trails import Climb, Trail

WAYS = 2_000  # rules compare ways with each other
UNMETERED = "by its own words nothing is metered"  # and not only without overage, as one plan of many may be
STEPS = 3  # by name alone, where nothing is imported

LIBRARY = "This is a library: it reports usage only where an application that uses it says so."


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def audit(
    root: Path,
    files: Sequence[Path] | Sequence[str],
    *,
    profile: Profile,
    models: Sequence[Path] = (),
    options: Options | None = None,
    progress: Progress | None = None,
) -> Report:
    """Audit the given files of a tree."""
    options = options or Options()
    run = Run(root, files, models, options, progress or _silent)
    report = run.report(profile, options, len(files))
    run.gathering.cache.save()
    return report


def inventory(
    root: Path,
    files: Sequence[Path] | Sequence[str],
    *,
    models: Sequence[Path] = (),
    options: Options | None = None,
) -> tuple[Endpoint, ...]:
    """Every way in that the tree has, metered or not; `reports` where a report was found behind it."""
    run = Run(root, files, models, options or Options(), _silent)
    found = {(one.place, one.route): one for one in endpoints_of(run.case(), [])}
    everything = run.gathering.loaded(set(run.corpus.sources))
    for entry in Entries(everything).found.values():
        if entry.framework != "middleware" and not entry.handler[0] and not entry.route.endswith(".use"):
            key = (Place(entry.path, max(1, entry.line)), entry.route)
            found.setdefault(key, Endpoint(entry.route, key[0], False, entry.kind))
    run.gathering.cache.save()
    return tuple(found[key] for key in sorted(found))


class Run:
    """One audit in progress."""

    def __init__(
        self,
        root: Path,
        files: Sequence[Path] | Sequence[str],
        models: Sequence[Path],
        options: Options,
        progress: Progress,
    ) -> None:
        """Read the files; nothing is lowered yet."""
        knowledge = Knowledge(models)
        self.progress = progress
        self.corpus = Corpus(root, knowledge, options.include_tests)
        self.corpus.load(files, progress)
        self.gathering = Gathering(self.corpus, knowledge, progress, Cache(options.cache_dir))

    def _traced(self, program: Program, tables: dict[str, Trail]) -> Case:
        """The case of a program; rows of these tables count as reports."""
        labelling = Labelling(program)
        entries = Entries(program)
        case = Case(self.corpus, program, entries, sites.find(program, labelling, self.corpus), [])
        case.sites += list(joins.written(case, tables, labelling))
        climb = Climb(program, entries, labelling, case.queues, is_quiet(self.corpus))
        for site in case.sites:
            if len(case.trails) >= WAYS:
                reason = f"more than {WAYS:,} ways to usage reports: the rest is not followed"
                case.lost.add((site.key[0], reason))
                break
            case.trails += begun(climb.trails(site))
        case.lost |= climb.lost
        if case.trails:
            case.schedules = self._schedules
        unused(case)
        scheduled(case)
        beside(case)
        services.settle(case)
        case.owed = arrears.settle(case)
        silence(case)
        shut(case)
        at_changes_of_plan(case)
        return case

    @cached_property
    def _schedules(self) -> list[Schedule]:
        """What is written outside the program, which no further file changes."""
        return [*timetables.written(self.corpus), *crontabs.written(self.corpus)]

    def case(self) -> Case:
        """All records the rules look at."""
        case = self._traced(self.gathering.program(), {})
        if self.gathering.graph is not None:
            tables = {**case.owed, **joins.outboxes(case)}
            for _ in range(2 if case.owed else 1):  # again for the work that is done beside such rows
                wider = self.gathering.wider(case, tables) - case.program.modules.keys()
                if wider or tables:
                    case = self._traced(self.gathering.loaded(wider | case.program.modules.keys()), tables)
            summed = joins.summed(case, tables)
            if summed:
                tables |= summed
                wider = self.gathering.wider(case, summed) | case.program.modules.keys()
                case = self._traced(self.gathering.loaded(wider), tables)
            for _ in range(STEPS):
                fresh = self.gathering.naming(case) - case.program.modules.keys()
                if not fresh:
                    break
                case = self._traced(self.gathering.loaded(fresh | case.program.modules.keys()), tables)
        signal = self.corpus.signals
        bare = not case.trails  # without a reporting call, prices and counters have to speak
        idle = bool(case.trails) and not case.live
        case.metered = signal("metered", also=is_script)
        if bare or idle:
            offers = Offers(self.corpus)
            case.priced, case.promised = offers.priced(), offers.promised()
        case.counted = signal("counted") if bare else ()
        case.paid = signal("paid", 1) if bare else ()
        case.sold = (*case.metered, *self._sold(case)) if idle else ()
        case.flat = signal("flat", 1) if idle else ()
        case.prepaid = signal("prepaid", 1) if idle else ()
        case.denied = self._denied() if idle else ()
        case.payment = signal("payment", 3)
        case.versions = pinned(self.corpus)
        return case

    def _sold(self, case: Case) -> tuple[Hop, ...]:
        """Words of usage-based prices elsewhere than beside reporting calls that nothing reaches, or in denials."""
        beside = {site.key[0] for site in case.sites} | {
            one.place.path for one in self.corpus.signals("denied")
        }
        return tuple(one for one in self.corpus.signals("sold") if one.place.path not in beside)

    def _denied(self) -> tuple[Hop, ...]:
        """Pages that say that nothing is metered; in other code such words may be about anything."""
        said = self.corpus.signals("denied", also=is_page)
        return tuple(one for one in said if one.note == UNMETERED and shown(one.place.path))[:1]

    def report(self, profile: Profile, options: Options, files: int) -> Report:
        """The whole answer."""
        case = self.case()
        self.progress("judging", 0, 0)
        found = [one for rule in RULES if rule.code not in options.disabled for one in rule.find(case)]
        beside = {rule.code for rule in NEIGHBOURS}
        findings = [_fitted(case, one) for one in _distinct([one for one in found if one.code not in beside])]
        endpoints = endpoints_of(case, findings)
        reports = tuple(Hop(case.at(trail), "a usage report") for trail in case.trails[:20])
        signals = (*case.metered, *reports)
        library = libraries.published(case) and bool(case.trails)
        if library:
            findings, endpoints, signals = [one for one in findings if not one.decides], [], ()
        answer, detail, code = verdict.decide(findings, endpoints, signals, profile, bool(case.payment))
        return Report(
            verdict=answer,
            profile=profile,
            detail=LIBRARY if library else detail,
            findings=tuple(findings),
            neighbours=tuple(_distinct([one for one in found if one.code in beside])),
            endpoints=tuple(endpoints),
            coverage=self._coverage(case, files),
            providers=tuple(sorted({one.sink.provider for one in case.sites})),
            stack=tuple(sorted({one.framework for one in case.entries.found.values()})),
            signals=(*case.metered, *case.priced[:3], *case.promised[:3], *case.payment[:3]),
            remediation=next((one.remediation for one in verdict.deciding(findings)), ""),
            reason="no_billing" if library else code,
        )

    def _coverage(self, case: Case, files: int) -> Coverage:
        modules, resolver = self.gathering.modules, self.gathering.resolver
        broken = tuple(sorted(path for path, one in modules.items() if one.broken))
        return Coverage(
            files=files,
            parsed=len(modules),
            routes=sum(
                one.framework != "middleware" and not one.handler[0] for one in case.entries.found.values()
            ),
            unread=tuple(sorted({*self.corpus.unread, *case.lost})),
            with_errors=broken,
            unresolved_imports=resolver.unresolved if resolver else 0,
            left_out=tuple(sorted(self.corpus.left_out.items())),
        )


def _fitted(case: Case, finding: Finding) -> Finding:
    """The finding with what to write in the framework it was found in."""
    place = finding.hops[0].place if finding.hops else finding.place
    entry = next(
        (one for one in case.entries.found.values() if (one.path, one.line) == (place.path, place.line)), None
    )
    text = fitting(finding.code, entry.framework) if entry is not None else ""
    return replace(finding, remediation=f"{finding.remediation} {text}") if text else finding


def _distinct(findings: list[Finding]) -> list[Finding]:
    """One finding per code and place, the surest of them."""
    kept: dict[tuple[object, ...], Finding] = {}
    for one in findings:
        key = (one.code, one.place.path, one.place.line)
        if key not in kept or verdict.CERTAINTY[one.confidence] < verdict.CERTAINTY[kept[key].confidence]:
            kept[key] = one
    return sorted(kept.values(), key=lambda one: (one.place, one.code, one.message))
