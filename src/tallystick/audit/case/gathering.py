"""Which files are lowered: those with reports of usage, all that reaches them, and the work around them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property

from tallystick.audit.cache.facts import Cache
from tallystick.audit.case import arrears, joins
from tallystick.audit.case.case import Case
from tallystick.audit.case.products import products
from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.models.knowledge import Knowledge
from tallystick.audit.program import saves
from tallystick.audit.program.buses import HANDLES, subscribed
from tallystick.audit.program.program import COMMON, NAMED, Program, signals
from tallystick.audit.program.receivers import ENQUEUES, HEARS, RUBY
from tallystick.audit.program.resolve import Graph, Resolver
from tallystick.audit.syntax.ir import Function, Module
from tallystick.audit.syntax.searches import finite
from tallystick.audit.trails import sites
from tallystick.audit.trails.statements import Named, stated, with_imported
from tallystick.audit.trails.trails import Trail

Progress = Callable[[str, int, int], None]
SMALL = 400
FEW = 40
IMPLEMENTS = "Impl"  # Java's callers know only the interface
IMPLEMENTING = finite(rb"\bclass\s+\w+[^{\n]*\bimplements\s+([\w,\s]+)")
MANY, FAR, NEAR = 25, 150, 100
COSTLY = re.compile(
    rb"(?i)completions\.|responses(?:\(\))?(?:\.|->)|predictions\.|embedMany|generateImage|\bfal\.|Completion\.|postmark|messages\.create|generateText|streamText|generateObject|streamObject|generate_?content"
    rb"|emails\.send|SendEmail|sendMail|send_mail|InvokeModel|ConverseCommand|replicate\.|embeddings|twilio|images\.generate|audio\.(?:transcriptions|translations|speech)"
    rb"|(?:agent\w*|getAgent\([^)\n]*\)|\bthread)\.(?:generate|stream)"
)


class Gathering:
    """The files of one audit, lowered as they are asked for."""

    def __init__(self, corpus: Corpus, knowledge: Knowledge, progress: Progress, cache: Cache) -> None:
        """Nothing lowered yet."""
        self.corpus = corpus
        self.knowledge = knowledge
        self.progress = progress
        self.cache = cache
        self.modules: dict[str, Module] = {}
        self.resolver: Resolver | None = None
        self.graph: Graph | None = None
        self.stated: dict[str, Named] = {}

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
        candidates = self._candidates()
        self.lower(candidates)
        self.resolver = Resolver(self.corpus)
        self.stated = stated(
            {path: self.modules[path] for path in candidates & self.modules.keys()},
            self.knowledge,
            self.resolver,
        )
        holders = {path for path in candidates if self._holds(path)}
        if not holders and not self.stated:
            return Program([], self.resolver, self.knowledge)
        self.graph = graph = Graph(self.corpus, self.resolver)
        holders |= self._sending_imported(graph)
        if not holders:
            return Program([], self.resolver, self.knowledge)
        closure = graph.importers(holders) | self._by_interface(holders) | self._unimported(holders)
        near = graph.imported(holders, 2, 200) | graph.imported(closure, 1, 400)
        return self.loaded(closure | near | self._mentioned(closure))

    def _candidates(self) -> set[str]:
        """Files that may hold a reporting call, by what its models ask of the whole of a file."""
        rows = [
            (
                row,
                {word.encode() for word in row.word.lower().split("|")},
                _needed(near) if kit else None,
                kit,
            )
            for row, _, _, near, kit in self.knowledge.sinks
        ]
        every = {word for _, words, _, _ in rows for word in words}
        standing, found = self.corpus.words.standing(every), set()
        for path in self.corpus.holding(standing):
            data = self.corpus.sources[path]
            low, text = data.lower(), data.decode("utf-8", "replace")
            held = {word for word in standing if word in low}
            if any(
                not words.isdisjoint(held)
                and (kit is None or kit.search(text))
                and (near is None or near.search(text))
                and (not row.arrears or self._owing)
                for row, words, near, kit in rows
            ):
                found.add(path)
        return found

    def _sending_imported(self, graph: Graph) -> set[str]:
        """Files that send a statement which another file keeps."""
        near = graph.importers(set(self.stated), NEAR) if self.stated else set()
        self.lower(near)
        known = {path: self.modules[path] for path in near & self.modules.keys()}
        self.stated |= stated(known, self.knowledge, self.resolver) if near and self.resolver else {}
        return {path for path in near if self._holds(path)}

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

    def _by_interface(self, seeds: set[str]) -> set[str]:
        """Files of TypeScript and Java that know these only by what their classes implement."""
        said = (hit[1] for path in sorted(seeds) for hit in IMPLEMENTING.finditer(self.corpus.sources[path]))
        names = {one.strip() for group in said for one in group.split(b",") if one.strip()}
        found: set[str] = set()
        for name in sorted(names):
            given = re.compile(rb":\s*" + re.escape(name) + rb"\b|\b" + re.escape(name) + rb"\s+\w+\s*[;,)=]")
            users = [one for one in self.corpus.grep(given) if one.endswith((".ts", ".tsx", ".java"))]
            found |= set(users) if len(users) < MANY else set()  # everybody knows a framework's own
        assert self.graph is not None
        return self.graph.importers(found, FAR) if found else found

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
            names = sorted(
                {name for one in stems for name in (_camel(one), _camel(one).removesuffix(IMPLEMENTS))}
            )
            words = re.compile("|".join(rf"\b{re.escape(one)}\b" for one in names if one).encode())
            endings = tuple({"." + path.rpartition(".")[2] for path in named})
            endings += RUBY if any(one in endings for one in RUBY) else ()
            found |= {path for path in self.corpus.grep(words) if path.endswith(endings)}
        found |= self._by_word({path for path in seeds if path.endswith(".py") or self._hears(path)})
        found |= self._saving({path for path in seeds if path.endswith(".py")})
        for folder in ("convex/", "server/") if self._nitro() else ("convex/",):
            roots = {path[: path.index(folder)] + folder for path in seeds if folder in path}
            if folder == "server/":
                roots = {
                    one for one in roots if any("/utils/" in path for path in seeds if path.startswith(one))
                }
            found |= {path for path in self.corpus.sources if roots and path.startswith(tuple(roots))}
        return found

    def _hears(self, path: str) -> bool:
        """Whether a file listens to events of its own application by a decorator."""
        decorators = (HEARS, *sorted(HANDLES))
        return path.endswith(".ts") and any(
            b"@" + one.encode() + b"(" in self.corpus.sources[path] for one in decorators
        )

    def _by_word(self, seeds: set[str]) -> set[str]:
        """Files that name an event these listen to, or enqueue a function of theirs by its name."""
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
        parts = [
            rf"\b{re.escape(one)}\("
            for one in sorted(
                {one for each in functions for given in each.decorators for one in subscribed(given)}
            )
            if one.startswith("new ")
        ]
        events |= set(parts)
        parts += [rf"(?<![\w.]){re.escape(one[1:-1])}(?!\w)" for one in sorted(events) if one[:1] == "'"]
        names = sorted({one.name for one in functions if len(one.name) > 3})
        called = "|".join(map(re.escape, names))
        parts += [rf"enqueue_job\(\s*[\"'](?:{called})[\"']"] if names else []
        parts += [rf"(?:{'|'.join(sorted(ENQUEUES))})\(\s*[\"'][\w.]+\.(?:{called})[\"']"] if names else []
        found = self.corpus.grep(re.compile("|".join(parts).encode())) if parts else []
        return {one for one in found if one.endswith((".py", ".ts") if events else ".py")}

    def _saving(self, seeds: set[str]) -> set[str]:
        """Files that write rows whose saves run a function of these, and those that reach such files."""
        functions = [
            one for path in sorted(seeds & self.modules.keys()) for one in self.modules[path].functions
        ]
        said = {name for one in functions for given in one.decorators for name in saves.senders(given)}
        models = sorted(re.escape(one.removesuffix(".save")) for one in said - {".save"})
        if not models:
            return set()
        writes = re.compile(rf"\b(?:{'|'.join(models)})(?:\.objects\.a?\w*create\w*)?\(".encode())
        found = {one for one in self.corpus.grep(writes) if one.endswith(".py")}
        assert self.graph is not None
        return found | self.graph.importers(found, FAR) if len(found) < MANY else set()

    def _packages(self, seeds: set[str]) -> set[str]:
        """Go files around these: all of a small program; of a large one those that call up to them, by name."""
        every = {one: data for one, data in self.corpus.sources.items() if one.endswith(".go")}
        if len(every) <= SMALL:
            return set(every)
        found = {one for one in seeds if one in every}
        names = {
            _outermost(self.modules[path], function)
            for path in sorted(found)
            for function in self._sending(path)
        }
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
                _outermost(self.modules[path], function)
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
        if self.resolver is not None:
            module = with_imported(module, self.stated, self.resolver)
        return [
            function
            for function in module.functions
            if any(
                sink is not None and (not sink.arrears or self._owing)
                for call in function.calls
                for sink in [sites.sink_of(call, self.knowledge, lambda word: True, module, function, text)]
            )
        ]

    @cached_property
    def _owing(self) -> bool:
        """Whether rows of usage are read, or their cost is spoken of: else what is charged is for something else."""
        return bool(self.corpus.grep(arrears.READ) or self.corpus.grep(arrears.USED))

    def _nitro(self) -> bool:
        """Whether server folders are joined without imports."""
        return any(
            path.endswith("package.json") and (b'"nuxt"' in data or b"nitro" in data)
            for path, data in self.corpus.support.items()
        )

    def naming(self, case: Case) -> set[str]:
        """Files that call by its name what every way ends in: a reporter that is handed over without an import."""
        assert self.graph is not None
        tops = [case.program.function(one.top) for one in case.trails if not one.client]
        names = sorted(
            {one.name for one in tops if one.owner and len(one.name) > 5 and one.name not in COMMON}
        )
        if case.live or not names:
            return set()
        called = re.compile(rf"(?:\.|->)(?:{'|'.join(map(re.escape, names))})\(".encode())
        found = set(self.corpus.grep(called)) - case.program.modules.keys()
        if len(found) > FEW:
            return set()
        return found | self.graph.importers(found, 200) | self.graph.imported(found, 1, 100)

    def wider(self, case: Case, tables: dict[str, Trail]) -> set[str]:
        """Files that sell the same work, write the rows that are sent, or fill the queues."""
        assert self.graph is not None
        found: set[str] = set()
        kinds = {one.entry.kind for one in case.trails if one.entry is not None}
        if kinds & {"http", "action", "worker"}:
            sold = {path for path in case.program.modules if COSTLY.search(self.corpus.sources[path])}
            found |= self.graph.importers(sold, 400) | self._unimported(sold)
            if sold & {one.entry.path for one in case.trails if one.entry is not None}:
                found |= set(self.corpus.grep(COSTLY)[:300])
            made = {key[0] for key, _ in products(case, case.live)}
            found |= set(sorted(self.graph.importers(made, FAR))[:FAR])
        words = joins.words(case, tables)
        joined = set(self.corpus.grep(words)[:400]) if words is not None else set()
        joined |= set(sorted(joins.callers(case))[:400])
        named = {path for path in joined if path.endswith(NAMED) and not path.endswith(".go")}
        found |= joined | self.graph.importers(joined, 400) | self.graph.imported(joined, 1, 400)
        found |= self._unimported(named) if named and len(named) <= FEW else set()
        return found


def _outermost(module: Module, function: Function) -> str:
    """The name by which others know a function, or what the literal that it is stands in."""
    while function.parent > 0:
        function = module.functions[function.parent]
    return function.name


def _class_of(path: str) -> tuple[str, str]:
    """The language and the class that a file is named after."""
    stem, _, ending = path.rpartition("/")[2].rpartition(".")
    return ending, _camel(stem)


def _camel(stem: str) -> str:
    return "".join(part.capitalize() for part in stem.split("_")) if "_" in stem or stem.islower() else stem


def _needed(near: re.Pattern[str] | None) -> re.Pattern[str] | None:
    """What has to stand near a call and is not tied to a start: of a kit's own call, it stands in the file itself."""
    return None if near is None or "^" in near.pattern else near
