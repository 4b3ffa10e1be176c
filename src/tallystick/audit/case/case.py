"""Everything the rules look at: trails with their entries, schedules, signals, versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from tallystick.audit.case import belonging
from tallystick.audit.case.unfollowed import unfollowed
from tallystick.audit.corpus.lexical import Corpus
from tallystick.audit.corpus.versions import Pins
from tallystick.audit.entries import constructs
from tallystick.audit.entries.entries import Entries
from tallystick.audit.entries.forms import Entry
from tallystick.audit.entries.guards import OFFICE, STAFF_ONLY, Guards
from tallystick.audit.entries.queues import Queues
from tallystick.audit.entries.schedules import Schedule
from tallystick.audit.model import Hop, Place
from tallystick.audit.offers.names import OVERAGE
from tallystick.audit.offers.speech import PER_UNIT, SPOKEN
from tallystick.audit.program.classes import SHARING
from tallystick.audit.program.program import Key, Program
from tallystick.audit.syntax.ir import Call
from tallystick.audit.trails import requests
from tallystick.audit.trails.labels import CHOSEN, CLIENT, KEYED, Labels
from tallystick.audit.trails.sites import Site
from tallystick.audit.trails.statements import constants
from tallystick.audit.trails.trails import Trail

SLOW = 6 * 3600
SUBSCRIBED = "a metered subscription is made"
CRON_PATH = re.compile(r"(?i)(?:^|/)(?:crons?|scheduled?|jobs?)(?:/|-|$)")
STAFF = re.compile(r"(?i)admin|internal|back-?office|staff|support/|webhook")
WHO = re.compile(
    rb"(?i)auth|session|current_?user|api_?key|token\b|jwt|verif|permission|guard|depends\(|login|member|owner|secret"
    rb"|(?:req|request|ctx|c|locals|context|self)\.user|protect|signature"
    rb"|(?:require|ensure|must|only|with|check|is)_?(?:user|account|customer|logged|signed|admin|org)|signed_?in|logged_?in"
)
OPEN = re.compile(r"(?:\w+\.)*(?:public\w*|base|open\w*)?[pP]rocedure\b")
LOGIN_ONLY = re.compile(r"(?:protected|private|authed|auth|authenticated|loggedIn|signedIn|user)Procedure\b")
CALLER = re.compile(
    rb"\bctx\b|\bcontext\b|[sS]ession\.user|\bauth\w*\(|[cC]urrent_?[uU]ser|get_?[uU]ser|(?i:member|permission|owner)"
)
NAMES_ONLY = re.compile(
    rb"[\"'`][^\"'`]*[\"'`]|\b\w*[rR]oute\w*"
)  # where a router is put says nothing of who may come
SETTINGS = re.compile(  # a kit's key, set up right above a function, guards nothing
    rb"(?:process\.env|import\.meta\.env|Deno\.env|os\.(?:environ|getenv))[\w.\[\](\"']*"
)
FROM_REQUEST = (
    rb"@(?:Body|Query|Param|Headers|Args|MessageBody|Request(?:Body|Param|Header)|PathVariable)(?:\([^)]*\))?"
    rb"\s*(?:[A-Z\w<>]+\s+)?"
)
METERS_ONLY = frozenset(
    ["lago", "openmeter", "orb", "metronome", "aws-marketplace"]
)  # who buys these sells usage
MAKING = frozenset(["constructor", "__init__", "__construct", "initialize"])  # called by their class's name
GIVEN = frozenset(
    ["request", "db", "session", "background_tasks", "user", "current_user"]
)  # by the framework
RESOLVING = frozenset(["self", "cls", "info", "root", "parent", "obj", "_", "context"])  # by GraphQL
REQUEST = re.compile(  # what Starlette's request has; a model that is called so has other fields
    r"(?:body|json|form|stream|query_params|path_params|headers|cookies|state|app|url|method|client|scope|session|user|auth"
    r"|base_url|is_disconnected)\b|$"
)
SIGNED = re.compile(
    r"(?:verify|check|require|with)\w*(?:Signature|Webhook|QStash|Qstash)"
)  # what a caller has to prove
PROVEN = (b"Signature", b"Webhook", b"tash")  # words of these
DECORATORS = 3  # lines above a function in which what guards it may stand
PARAMETERS = 15  # lines that the parameters of a function may take
SPEAKING = 5  # steps away from a report whose words still tell what it counts
POSITIONS = {  # the parameter that the caller fills, by framework
    **dict.fromkeys(("convex", "graphql"), 1),
    **dict.fromkeys(("mcp", "socket.io", "sveltekit-remote", "astro-action"), 0),
}
About = TypeVar("About", Trail, Key)
OPEN_KINDS = frozenset(["http", "action"])


@dataclass
class Case:
    """One audited tree, as the rules see it."""

    corpus: Corpus
    program: Program
    entries: Entries
    sites: list[Site]
    trails: list[Trail]
    metered: tuple[Hop, ...] = ()
    priced: tuple[Hop, ...] = ()
    promised: tuple[Hop, ...] = ()
    sold: tuple[Hop, ...] = ()
    flat: tuple[Hop, ...] = ()
    prepaid: tuple[Hop, ...] = ()
    denied: tuple[Hop, ...] = ()
    counted: tuple[Hop, ...] = ()
    payment: tuple[Hop, ...] = ()
    paid: tuple[Hop, ...] = ()
    schedules: list[Schedule] = field(default_factory=list)
    owed: dict[str, Trail] = field(default_factory=dict)  # tables of usage, and the charge that sums them
    versions: Pins = field(default_factory=dict)
    silent: set[Key] = field(default_factory=set)  # workers whose event nothing sends, and routes as below
    idle: dict[Key, str] = field(
        default_factory=dict
    )  # where ways end that no metered action starts, and why
    refused: dict[Key, Schedule] = field(
        default_factory=dict
    )  # what calls a route by a method it does not answer
    lost: set[tuple[str, str]] = field(default_factory=set)  # what is followed no further, and why
    answers: dict[tuple[object, object], tuple[object, bool]] = field(default_factory=dict)

    def once(self, question: Callable[[Case, About], bool], about: About) -> bool:
        """The answer to a question about a way or a function that many other ways ask as well."""
        asked = (question, about if isinstance(about, tuple) else id(about))
        if asked not in self.answers:
            # kept with its answer, so that no other has its id
            self.answers[asked] = (about, question(self, about))
        return self.answers[asked][1]

    @property
    def live(self) -> list[Trail]:
        """Trails that something really starts."""
        return [one for one in self.trails if one.entry is not None]

    def alike(self, trail: Trail) -> list[Trail]:
        """The live trails to the same reporting call."""
        return self._by_call.get(trail.site.call, [])

    @cached_property
    def _by_call(self) -> dict[Call, list[Trail]]:
        found: dict[Call, list[Trail]] = {}
        for one in self.live:
            found.setdefault(one.site.call, []).append(one)
        return found

    @cached_property
    def judged(self) -> list[Trail]:
        """Live trails; where there are none, those whose start other code names in a way that was not followed."""
        aside = self.silent | self.idle.keys()
        dead = [one for one in self.trails if one.entry is None and not one.client and one.top not in aside]
        return self.live or [one for one in dead if self.sells and unfollowed(self, one)]

    @cached_property
    def sells(self) -> bool:
        """Whether usage is sold at all: not where every price found is flat and nothing live reports."""
        metered = any(one.site.sink.provider in METERS_ONLY for one in self.trails)
        metered = metered or any(one.note == SUBSCRIBED for one in self.sold)
        promised = any(one.note not in (PER_UNIT, SPOKEN) for one in self.promised)
        if metered or self.metered or promised:
            return True
        if self.denied:
            return False
        if any(one.note == OVERAGE for one in self.priced):
            return True
        return not self.prepaid and (bool(self.sold) or not self.flat)

    @cached_property
    def queues(self) -> Queues:
        """Who puts jobs on which queue."""
        return Queues(self.program)

    @cached_property
    def guards(self) -> Guards:
        """What stands before the routes."""
        return Guards(self.program)

    @cached_property
    def deployed(self) -> frozenset[str]:
        """The functions that what deploys the tree runs by name."""
        return constructs.deployed(self.corpus)

    def named_elsewhere(self, key: Key) -> bool:
        """Whether other code has a function's name, or its own file hands it on by it."""
        function = self.program.function(key)
        names = [name for name in (function.name, function.owner) if len(name) > 2 and name not in MAKING]
        if function.name in ("default", "") or not names:
            return True
        handed = rb"\b" + re.escape(names[0]).encode() + rb"\b(?!\s*[\w(:=])"  # into a table of handlers
        text = self.corpus.sources[key[0]]
        method = bool(function.owner) and names[0] == function.name and key[0].endswith(SHARING)
        return self.corpus.mentioned(names[0], key[0], method) or re.search(handed, text) is not None

    @cached_property
    def work(self) -> re.Pattern[str]:
        """What is sold by the piece here: messages only where a report speaks of them."""
        return self.program.knowledge.work(["", *(text for one in self.live for text in self._spoken(one))])

    @cached_property
    def workers(self) -> set[Key]:
        """Functions that themselves make a costly call."""
        return {
            (path, index)
            for path, module in self.program.modules.items()
            for index, function in enumerate(module.functions)
            if index and any(self.work.search(call.callee) for call in function.calls)
        }

    def _spoken(self, trail: Trail) -> Iterator[str]:
        """The words of a report: its constants, the functions next to it, and its route where that is near as well."""
        yield from (constants(one) for one in trail.site.call.args)
        for key, call in trail.hops[:SPEAKING]:
            yield f"{key[0]} {call.callee} {' '.join(constants(one) for one in call.args)}"
        if trail.entry is not None and len(trail.hops) <= SPEAKING:
            yield trail.entry.route

    def place(self, key: Key, line: int = 0) -> Place:
        """A place in a function's file."""
        return Place(key[0], line or self.program.function(key).line)

    def at(self, trail: Trail) -> Place:
        """Where the reporting call stands."""
        call = trail.site.call
        return Place(trail.site.key[0], call.line, call.column, call.end_line, call.end_column)

    def origin(self, trail: Trail) -> Place:
        """Where the request's own code sends usage on its way."""
        key, call = trail.hops[-1]
        return Place(key[0], call.line, call.column, call.end_line, call.end_column)

    def hops(self, trail: Trail) -> tuple[Hop, ...]:
        """The way from the entry down to the reporting call."""
        steps = []
        if trail.entry is not None:
            steps.append(Hop(Place(trail.entry.path, max(1, trail.entry.line)), trail.entry.route or "entry"))
        for key, call in reversed(trail.hops):
            steps.append(Hop(Place(key[0], call.line, call.column), f"calls {call.callee}"))
        return tuple(steps)

    def name(self, trail: Trail) -> str:
        """The function that holds the reporting call."""
        return self.program.function(trail.site.key).name

    def client_parts(self, labels: Labels, entry: Entry | None) -> list[str]:
        """Which of the labels the client chooses, given where the request enters."""
        if entry is None or entry.kind not in OPEN_KINDS:
            return []
        found = [text for kind, text in labels if kind == CLIENT]
        found += [text for kind, text in labels if kind == "param" and self.exposed(text, entry)]
        return sorted({one for one in found if not one.endswith((".length", ".byteLength"))})

    def chosen(self, trail: Trail) -> list[str]:
        """Ids by which the client picks the stored customer, where nothing on the way asks who is calling."""
        entry = trail.entry
        if entry is None or entry.kind not in OPEN_KINDS:
            return []
        if trail.queued:
            return []  # who put the job there knew whose it is
        found = [text for kind, text in trail.customer if kind == CHOSEN]
        found += [text for kind, text in trail.customer if kind == KEYED and self.exposed(text, entry)]
        return sorted(set(found)) if found and not self._asks(trail) else []

    def _asks(self, trail: Trail) -> bool:
        """Whether it is asked who is calling; of a procedure that only wants a login, its handler has to ask more."""
        entry = trail.entry
        if entry is not None and entry.framework in belonging.APART:
            return belonging.asks(self.corpus, entry, (self.said(key) for key, _ in trail.hops))
        if entry is None or entry.framework != "trpc" or OPEN.match(entry.route):
            return self.known(trail)
        if not LOGIN_ONLY.match(entry.route):
            return True
        return any(CALLER.search(self.said(key)) for key, _ in trail.hops)

    def known(self, trail: Trail) -> bool:
        """Whether anything on the way asks who is calling."""
        entry = trail.entry
        if entry is None:
            return False
        keys = {key for key, _ in trail.hops} | {entry.key, *([entry.handler] if entry.handler[0] else [])}
        for key in sorted(keys):
            if WHO.search(self.said(key, DECORATORS)):
                return True
        used = re.findall(rb"\.use\([^\n]*", self.corpus.sources.get(entry.path, b""))
        return any(WHO.search(NAMES_ONLY.sub(b"", one)) for one in used)

    def said(self, key: Key, above: int = 0) -> bytes:
        """The text of a function with the call it is given to, `app.post("/x", guard, handler)`, and lines above."""
        function = self.program.function(key)
        first = function.line
        if function.via >= 0:
            first = min(first, self.program.function((key[0], function.parent)).calls[function.via].line)
        over = SETTINGS.sub(b"", self.corpus.text(key[0], first - above, first - 1)) if above else b""
        return over + self.corpus.text(key[0], first, function.end_line)

    def exposed(self, text: str, entry: Entry) -> bool:
        """Whether a parameter of the entry is the client's to fill."""
        place, index, path = text.split(":", 2)
        if place != f"{entry.key[0]}#{entry.key[1]}":
            return False
        if entry.kind == "action":
            return not path.startswith("ctx.")  # what a client of safe actions was given by its middleware
        position = POSITIONS.get(entry.framework)
        if position is not None:
            return int(index) == position
        if entry.framework == "trpc":
            return path.startswith("input")
        if entry.framework == "firebase" and entry.route.endswith("onCall"):
            told = any(one.index == 1 for one in self.program.function(entry.key).bindings)
            return int(index) == 0 and (told or path.startswith("data"))  # `(data, context)` before version 2
        if entry.framework == "lambda":
            return int(index) == 0 and path.startswith(("body", "arguments"))
        if entry.framework in ("nest", "spring"):
            return self._from_request(entry, int(index))
        given = [one for one in self.program.function(entry.key).bindings if str(one.index) == index]
        if entry.framework == "fastapi":
            names = [one.name for one in given]
            return bool(names) and (
                names[0] not in GIVEN or (names[0] == "request" and not REQUEST.match(path))
            )
        if entry.framework == "strawberry":
            return any(one.name not in RESOLVING for one in given)
        if entry.framework == "laravel":
            return any(requests.is_sent(one, path) for one in given)
        return path.startswith(("body", "query.", "data.", "validated_data."))

    def _from_request(self, entry: Entry, index: int) -> bool:
        """Whether a parameter's decorator fills it from the request: `@Body() body`."""
        function = self.program.function(entry.key)
        name = next((one.name for one in function.bindings if one.index == index), "")
        text = self.corpus.text(entry.key[0], function.line, function.line + PARAMETERS)
        asked = FROM_REQUEST + re.escape(name).encode() + rb"\b"
        return bool(name) and re.search(asked, text) is not None

    def guarded(self, trail: Trail) -> bool:
        """Whether only a holder of a service secret, or a signed event, gets here."""
        if trail.entry is None:
            return False
        if trail.site.stored and STAFF.search(f"{trail.entry.key[0]} {trail.entry.route}"):
            return True
        function = self.program.function(trail.entry.key)
        flags = set(trail.flags) | set(function.flags)
        if trail.entry.handler[0]:
            flags |= set(self.program.function(trail.entry.handler).flags)
        holder = function
        for _ in range(3):
            if holder.via < 0:
                break
            given, holder = holder.via, self.program.modules[trail.entry.key[0]].functions[holder.parent]
            flags |= set(holder.flags)
            if SIGNED.search(holder.calls[given].callee):
                return True
        if function.name and self._signed(trail.entry.key[0], function.name):
            return True
        passed = trail.hops[-1][1]
        for target, call in self.program.callees.get(trail.entry.key, ()):
            if call is passed or not passed.state == call.state == "returned":  # not of another route
                flags |= set(self.program.function(target).flags) & {"secret", "verified"}
        return bool(flags & {"secret", "verified"}) or self.guards.fenced(trail.entry)

    def of_staff(self, trail: Trail) -> bool:
        """Whether a way starts in the office: a route that is called so and asks for one of the staff."""
        entry = trail.entry
        if entry is None or not OFFICE.search(f"{entry.route} {entry.key[0]}"):
            return False
        return STAFF_ONLY.search(self.said(entry.key, DECORATORS)) is not None

    def _signed(self, path: str, name: str) -> bool:
        """Whether a handler is only exported behind a check of signatures: `verifySignatureAppRouter(handler)`."""
        text = self.corpus.sources[path]
        wrapped = SIGNED.pattern.encode() + rb"\w*\(\s*" + name.encode() + rb"\b"
        return any(one in text for one in PROVEN) and re.search(wrapped, text) is not None
