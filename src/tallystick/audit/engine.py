"""From a tree to a report: lexical pass, graph, lowering, trails, rules, verdict."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from tallystick.audit import verdict
from tallystick.audit.cache.facts import Cache
from tallystick.audit.case import joins, libraries
from tallystick.audit.case.case import Case, scheduled
from tallystick.audit.case.endpoints import endpoints_of
from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.corpus.versions import pinned
from tallystick.audit.entries import crontabs, schedules
from tallystick.audit.entries.entries import Entries
from tallystick.audit.handbook.remedies import fitting
from tallystick.audit.model import Coverage, Endpoint, Finding, Hop, Options, Place, Profile, Report
from tallystick.audit.models.knowledge import Knowledge
from tallystick.audit.program.program import COMMON, NAMED, Program, signals
from tallystick.audit.program.resolve import Graph, Resolver
from tallystick.audit.rules import RULES
from tallystick.audit.rules.neighbours import NEIGHBOURS
from tallystick.audit.syntax.ir import Function, Module
from tallystick.audit.trails import sites
from tallystick.audit.trails.labels import Labelling
from tallystick.audit.trails.trails import Climb, Trail

WAYS = 2_000  # rules compare ways with each other
Progress = Callable[[str, int, int], None]
COSTLY = re.compile(
    rb"(?i)completions\.|responses(?:\(\))?(?:\.|->)|predictions\.|embedMany|generateImage|\bfal\.|Completion\.|postmark|messages\.create|generateText|streamText|generateObject|streamObject|generate_?content"
    rb"|emails\.send|SendEmail|sendMail|send_mail|InvokeModel|ConverseCommand|replicate\.|embeddings|twilio|images\.generate"
)

SMALL = 400
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
    progress = progress or _silent
    knowledge = Knowledge(models)
    corpus = Corpus(root, knowledge, options.include_tests)
    corpus.load(files, progress)
    run = Run(corpus, knowledge, progress, Cache(options.cache_dir))
    report = run.report(profile, options, len(files))
    run.cache.save()
    return report


def inventory(
    root: Path,
    files: Sequence[Path] | Sequence[str],
    *,
    models: Sequence[Path] = (),
    options: Options | None = None,
) -> tuple[Endpoint, ...]:
    """Every way in that the tree has, metered or not; `reports` where a report was found behind it."""
    options = options or Options()
    knowledge = Knowledge(models)
    corpus = Corpus(root, knowledge, options.include_tests)
    corpus.load(files, _silent)
    run = Run(corpus, knowledge, _silent, Cache(options.cache_dir))
    metered = {(one.place, one.route): one for one in endpoints_of(run.case(), [])}
    everything = run.loaded(set(corpus.sources))
    found = dict(metered)
    for entry in Entries(everything).found.values():
        if entry.framework != "middleware" and not entry.handler[0] and not entry.route.endswith(".use"):
            key = (Place(entry.path, max(1, entry.line)), entry.route)
            found.setdefault(key, Endpoint(entry.route, key[0], False, entry.kind))
    run.cache.save()
    return tuple(found[key] for key in sorted(found))


class Run:
    """One audit in progress."""

    def __init__(self, corpus: Corpus, knowledge: Knowledge, progress: Progress, cache: Cache) -> None:
        """Nothing lowered yet."""
        self.corpus = corpus
        self.knowledge = knowledge
        self.progress = progress
        self.cache = cache
        self.modules: dict[str, Module] = {}
        self.resolver: Resolver | None = None
        self.graph: Graph | None = None

    def lower(self, paths: set[str]) -> None:
        """Lower the files that are not lowered yet."""
        from tallystick.audit.syntax.grammars import CostlyError
        from tallystick.audit.syntax.lowering import lower

        todo = sorted(path for path in paths if path not in self.modules)
        for number, path in enumerate(todo):
            if number % 50 == 0:
                self.progress("parsing", number, len(todo))
            try:
                key = self.cache.key(path, self.corpus.sources[path]) if self.cache.path else ""
                module = self.cache.get(key) if key else None
                if module is None:
                    module = lower(path, self.corpus.sources[path])
                    self.cache.put(key, module)
                self.modules[path] = module
            except RecursionError:
                self.corpus.unread.append((path, "nested too deeply to follow"))
            except CostlyError as problem:
                self.corpus.unread.append((path, str(problem)))

    def program(self) -> Program:
        """The sinks' files, all that reaches them, and the work around them."""
        words = {word for row, *_ in self.knowledge.sinks for word in row.word.lower().split("|")}
        candidates = set(self.corpus.holding([word.encode() for word in sorted(words)]))
        self.lower(candidates)
        holders = {path for path in candidates if self._holds(path)}
        self.resolver = Resolver(self.corpus)
        if not holders:
            return Program([], self.resolver, self.knowledge)
        self.graph = graph = Graph(self.corpus, self.resolver)
        closure = graph.importers(holders) | self._unimported(holders)
        near = graph.imported(holders, 2, 200) | graph.imported(closure, 1, 400)
        return self.loaded(closure | near | self._mentioned(closure))

    def loaded(self, chosen: set[str]) -> Program:
        """The program of these files."""
        assert self.resolver is not None
        self.lower(chosen)
        kept = [self.modules[path] for path in sorted(chosen) if path in self.modules]
        return Program(kept, self.resolver, self.knowledge)

    def _holds(self, path: str) -> bool:
        return bool(self._sending(path))

    def _unimported(self, holders: set[str]) -> set[str]:
        """Files that reach the sinks without an import: by class name, automatic import or function path."""
        found: set[str] = set()
        for _ in range(3):
            before = len(found)
            found |= self._neighbours(holders | found)
            if len(found) == before or len(found) > 1500:
                break
        return found

    def _mentioned(self, seeds: set[str], limit: int = 200) -> set[str]:
        """Files of the classes these call by name alone: `Model.generate` where nothing is imported."""
        self.lower({path for path in seeds if path.endswith(NAMED)})
        known = [
            self.modules[path] for path in sorted(seeds) if path.endswith(NAMED) and path in self.modules
        ]
        calls = [(one.path, call) for one in known for function in one.functions for call in function.calls]
        asked = {
            (path.rpartition(".")[2], head) for path, call in calls for head in call.callee.split(".")[:-1]
        }
        found = [
            one for one in sorted(self.corpus.sources) if one.endswith(NAMED) and _class_of(one) in asked
        ]
        return set(found[:limit])

    def _neighbours(self, seeds: set[str]) -> set[str]:
        found = self._packages(seeds) if any(one.endswith(".go") for one in seeds) else set()
        named = {path for path in seeds if path.endswith(NAMED) and not path.endswith(".go")}
        stems = {path.rpartition("/")[2].rpartition(".")[0] for path in named}
        if stems:
            words = re.compile("|".join(rf"\b{re.escape(_camel(one))}\b" for one in sorted(stems)).encode())
            endings = tuple({"." + path.rpartition(".")[2] for path in named})
            found |= {path for path in self.corpus.grep(words) if path.endswith(endings)}
        found |= self._by_word({path for path in seeds if path.endswith(".py")})
        for folder in ("convex/", "server/") if self._nitro() else ("convex/",):
            roots = {path[: path.index(folder)] + folder for path in seeds if folder in path}
            if folder == "server/":
                roots = {
                    one for one in roots if any("/utils/" in path for path in seeds if path.startswith(one))
                }
            found |= {path for path in self.corpus.sources if roots and path.startswith(tuple(roots))}
        return found

    def _by_word(self, seeds: set[str]) -> set[str]:
        """Python files that name an event these listen to, or enqueue a function of theirs by its name."""
        self.lower(seeds)
        functions = [
            one for path in sorted(seeds & self.modules.keys()) for one in self.modules[path].functions
        ]
        events = {
            said
            for one in functions
            for given in one.decorators
            for said in signals(given)
            if said[:1] == "'"
        }
        parts = [rf"[\"']{re.escape(one[1:-1])}[\"']" for one in sorted(events)]
        names = sorted({one.name for one in functions if len(one.name) > 3})
        parts += [rf"enqueue_job\(\s*[\"'](?:{'|'.join(map(re.escape, names))})[\"']"] if names else []
        return (
            {one for one in self.corpus.grep(re.compile("|".join(parts).encode())) if one.endswith(".py")}
            if parts
            else set()
        )

    def _packages(self, seeds: set[str]) -> set[str]:
        """Go files around these: all of a small program; of a large one those that call up to them, by name."""
        every = {one: data for one, data in self.corpus.sources.items() if one.endswith(".go")}
        if len(every) <= SMALL:
            return set(every)
        found = {one for one in seeds if one in every}
        names = {function.name for path in sorted(found) for function in self._sending(path)}
        asked: set[str] = set()
        for _ in range(8):
            words = [one.encode() for one in sorted(names) if len(one) > 4 and one not in COMMON]
            fresh = {one for one, data in every.items() if any(word in data for word in words)} - found
            asked |= names
            if not names or len(found) + len(fresh) > SMALL:
                break
            self.lower(fresh)
            found |= fresh
            names = {
                function.name
                for path in sorted(found)
                for function in self.modules[path].functions
                if any(call.callee.rpartition(".")[2] in names for call in function.calls)
            } - asked
        return found

    def _sending(self, path: str) -> list[Function]:
        """The functions of a file that hold a reporting call."""
        module = self.modules.get(path)
        if module is None:
            return []
        text = self.corpus.sources[path].decode("utf-8", "replace")
        return [
            function
            for function in module.functions
            if any(
                sites.sink_of(call, self.knowledge, lambda word: True, module, text)
                for call in function.calls
            )
        ]

    def _nitro(self) -> bool:
        """Whether server folders are joined without imports."""
        return any(
            path.endswith("package.json") and (b'"nuxt"' in data or b"nitro" in data)
            for path, data in self.corpus.support.items()
        )

    def _traced(self, program: Program, tables: dict[str, Trail]) -> Case:
        """The case of a program; rows of these tables count as reports."""
        labelling = Labelling(program)
        entries = Entries(program)
        case = Case(self.corpus, program, entries, sites.find(program, labelling, self.corpus.sources), [])
        case.sites += list(joins.written(case, tables, labelling))
        climb = Climb(program, entries, labelling)
        for site in case.sites:
            if len(case.trails) >= WAYS:
                reason = f"more than {WAYS:,} ways to usage reports: the rest is not followed"
                self.corpus.unread.append((site.key[0], reason))
                break
            case.trails += climb.trails(site)
        if case.trails:
            case.schedules = [*schedules.written(self.corpus), *crontabs.written(self.corpus)]
        scheduled(case)
        return case

    def case(self) -> Case:
        """All records the rules look at."""
        case = self._traced(self.program(), {})
        if self.graph is not None:
            tables = joins.outboxes(case)
            wider = self._wider(case, tables) - case.program.modules.keys()
            if wider or tables:
                case = self._traced(self.loaded(wider | case.program.modules.keys()), tables)
        signal = self.corpus.signals
        bare = not case.trails  # without a reporting call, prices and counters have to speak
        idle = bool(case.trails) and not case.live
        case.metered = signal("metered")
        case.priced = signal("priced") if bare else ()
        case.counted = signal("counted") if bare else ()
        case.sold = (*case.metered, *self._sold(case)) if idle else ()
        case.flat = signal("flat", 1) if idle else ()
        case.payment = signal("payment", 3)
        case.versions = pinned(self.corpus)
        return case

    def _sold(self, case: Case) -> tuple[Hop, ...]:
        """Words of usage-based prices elsewhere than beside reporting calls that nothing reaches."""
        beside = {site.key[0] for site in case.sites}
        return tuple(one for one in self.corpus.signals("sold") if one.place.path not in beside)

    def _wider(self, case: Case, tables: dict[str, Trail]) -> set[str]:
        """Files that sell the same work, write the rows that are sent, or fill the queues."""
        assert self.graph is not None
        found: set[str] = set()
        kinds = {one.entry.kind for one in case.trails if one.entry is not None}
        if kinds & {"http", "action", "worker"}:
            sold = {path for path in case.program.modules if COSTLY.search(self.corpus.sources[path])}
            found |= self.graph.importers(sold, 400) | self._unimported(sold)
            if sold & {one.entry.path for one in case.trails if one.entry is not None}:
                found |= set(self.corpus.grep(COSTLY)[:300])
        words = joins.words(case, tables)
        if words is not None:
            joined = set(self.corpus.grep(words)[:400])
            found |= joined | self.graph.importers(joined, 400)
        return found

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
            signals=(*case.metered, *case.priced[:3], *case.payment[:3]),
            remediation=next((one.remediation for one in verdict.deciding(findings)), ""),
            reason="no_billing" if library else code,
        )

    def _coverage(self, case: Case, files: int) -> Coverage:
        broken = tuple(sorted(path for path, one in self.modules.items() if one.broken))
        return Coverage(
            files=files,
            parsed=len(self.modules),
            routes=sum(
                one.framework != "middleware" and not one.handler[0] for one in case.entries.found.values()
            ),
            unread=tuple(sorted(self.corpus.unread)),
            with_errors=broken,
            unresolved_imports=self.resolver.unresolved if self.resolver else 0,
            left_out=tuple(sorted(self.corpus.left_out.items())),
        )


def _class_of(path: str) -> tuple[str, str]:
    """The language and the class that a file is named after."""
    stem, _, ending = path.rpartition("/")[2].rpartition(".")
    return ending, _camel(stem)


def _camel(stem: str) -> str:
    return "".join(part.capitalize() for part in stem.split("_")) if "_" in stem or stem.islower() else stem


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
