"""What a stretch of source says by its words: catches, guards, directives."""

from __future__ import annotations

import re

from tallystick.audit.syntax.searches import finite

RETHROW = finite(
    rb"\bthrow\b|\braise\b|\breject\(|\bnext\(\s*\w|\bpanic\(|\breturn err\b(?!\()|\bexit(?:Code)?\b\s*[=(]"
    rb"|\babort\(|::FAILURE\b|Promise\.reject|\b(?:cb|callback|done)\(\s*(?:e|err|error|ex|new\s)"
)
RESPOND = finite(
    rb"status\w*\s*[(:=,]\s*[\w.{ ]*[45]\d\d|HTTPException|,\s*\{?\s*status\s*:(?!\s*20\d\b)|[,(]\s*[45]\d\d\s*\)"
    rb"|createError\("
    rb"|\breturn\b[^\n;]*,\s*[45]\d\d\s*(?:$|[\n,;}])|(?:INTERNAL_SERVER_ERROR|BAD_GATEWAY|SERVICE_UNAVAILABLE|BAD_REQUEST)\b"
    rb"|\b(?:ws|socket|ctx|bot|interaction|message|msg)\.(?:send\w*|emit|reply|editReply|followUp)\("
    rb"|\b(?:res|response|reply)\.(?:json|send|render|end)\([^\n;]*(?:\b(?:e|err|error|ex)\b|success[\"']?\s*:\s*false)"
    rb"|(?:head|status:)[ (]*:(?:bad_|un|forbidden|not_|conflict|internal_|service_un|too_many|payment_req)"
    rb"|\(\s*(?:res|reply|response)\s*,\s*[45]\d\d\b|(?:fail|error)\(\s*[45]\d\d|json\(\s*\{\s*error|\.send\(\s*\w*[eE]rr|internalServerError"
    rb"|(?<![\w.])(?:handle|send|respond\w*|write|render|return)\w*(?:Error|_error)\w*\(\s*(?:res|reply|response|ctx|c)\s*[,)]"
)
RECORD = finite(
    rb"(?i)(?:\.|::|->)(?:insert|update|upsert|create|save|lpush|rpush|zadd|xadd|enqueue|dispatch|send_?message|apply_async|perform_(?:later|async)|kiq)\w*!?\("
    rb"|\.delay\(\s*[^(),]+,"
    rb"|queue\w*(?:\(\))?\.(?:add|push|send|publish)\w*\(|inngest\.send\(|enqueue|dead.?letter|retry|mark\w*(?:fail|pending)|\w*[oO]utbox"
    rb"|\b(?:redis|kv|cache)\w*(?:\(\))?\.[hz]?incr_?by\w*\("  # a counter gets back what was taken from it
    rb"|\.perform_in\b|\.apply_async\(|batch_?item_?failures?|item_?identifier|\.n(?:ac)?k(?:With\w+)?\(|\$this->release\(|abandon_?message|change_?message_?visibility|\.unshift\(|=\s*\[\s*\.\.\.\w+\s*,\s*\.\.\."
)
STRING = rb"\"(?:\\.|[^\"\\\n])*+\"|'(?:\\.|[^'\\\n])*+'|`(?:\\.|[^`\\])*+`"
GIVEN = rb"(?:" + STRING + rb"|[^()\"'`]|\(%s\))*+"  # between parentheses, however many lines
DEEPER = GIVEN % (GIVEN % (GIVEN % rb"[^()]*"))
LOGGING = re.compile(
    rb"(?i)(?:(?:console|log|logger|logging|sentry|\blog|bugsnag)\.[\w.]{0,60}|\bcapture_?(?:exception|message|error|event)|print|\b\w{0,20}alert\w{0,20})"
    rb"\((?:" + DEEPER + rb"\)|[^;\n]*\)?)"
)
ERRORS = re.compile(rb"\b[A-Z]\w*\b(?!\s*(?:::|\.|\\))")
BESIDE = finite(
    rb"(?:JSON\w*|\w*Pars(?:e|er|ing)|\w*Decode|\w*SignatureVerification|\w*Validation|\w*Integrity|\w*Unique|\w*NotFound"
    rb"|\w*DoesNotExist|NumberFormat|UnexpectedValue|Import|Key|Cancell?ed|\w*Cancellation|Interrupted)"
    rb"(?:Error|Exception|Violation\w*)?$|^(?:KeyboardInterrupt|SystemExit|GeneratorExit|Stop(?:Async)?Iteration|Interrupt)$"
)
WIDE = re.compile(
    rb"^(?:Base|Standard)?(?:Exception|Error)$|^Throwable$|^(?:Runtime|API|Api|HTTP|Http|Request|Client|Lago|Polar|Stripe)\w*"
)
PROVIDERS = re.compile(rb"(?i)stripe|lago|polar|openmeter|orb\b|chargebee|paddle")
SIGNAL = re.compile(rb"\breturn\b")
ACCEPT = re.compile(  # an answer that all went well, whoever asked
    rb"\breturn\s+(?:await\s+)?(?:new\s+)?(?:\w*Response(?:\.json)?|(?:c|ctx|res|response|reply)\.(?:json|text|send|end|status|body|sendStatus))"
    rb"\(|\breturn\s+\{\s*[\"']?(?:received|ok|status|success)[\"']?\s*:\s*(?!false|False)"
)
REMARK = re.compile(
    rb"(?s)/\*.{0,2000}?\*/|(?<![:\w\"'])//[^\n]*|(?m:(?:^|(?<=\s))#(?=\s)[^\n]*)"
)  # "log, but don't throw"
SPECIAL = finite(rb"if\s*\([^\n]*\)\s*(?:return|continue)\b[^\n;]*;")  # what follows is the rule

SECRET = finite(
    rb"(?:(?:process\.env|env|os\.environ|settings|config|Deno\.env)[\w.\[\]()'\"!]*?"
    rb"(?:SECRET|TOKEN|INTERNAL\w*KEY|SERVICE\w*KEY|API_KEY|CRON\w*)|timingSafeEqual|compare_digest"
    rb"|\w*(?:[vV]erify|[cC]heck|[iI]s|[rR]equire)\w*(?:Cron|Internal|Service)\w*\("
    rb"|(?:verify|check|require|assert)\w*Secret\()",
)
KIT = re.compile(  # keys by which the application itself calls others, or signs its users' sessions
    rb"(?i)stripe|openai|anthropic|polar|autumn|lago|openmeter|metronome|chargebee|paddle|lemon|resend|twilio|sendgrid"
    rb"|postmark|gemini|google|groq|mistral|replicate|deepgram|eleven|clerk|github|slack|supabase|service_?role|jwt|auth_?secret"
    rb"|session_?secret|cookie|upstash|redis|csrf|captcha|turnstile|sentry|posthog|mailgun|pinecone|encrypt|pepper|salt"
    rb"|(?:dodo|creem|whop|flexprice|schematic|stigg|flowglad|orb_)(?!\w*webhook)"
)
ROLE = finite(
    rb"(?i)[!=]==?[^\n]{0,60}service_?(?:role)?_?(?:key|token)|service_?role\w*\W[^\n]{0,20}[!=]==?|service_?role\w*\("
)
COMPARED = finite(
    rb"(?i)authorization|x-[\w-]*(?:key|secret|token)|timingSafeEqual|compare_digest|headers?\b|internal|cron|Secret\("
    rb"|bearer(?!_?token\s*(?::|=\s*(?:os|settings|config|env)\b))"  # `bearerToken: key` is given to a kit
)
VERIFIED = finite(
    rb"constructEvent(?:Async)?\(|construct_event\(|verify\w*(?:Signature|Webhook)\w*\(|verify_signature|webhooks?\.verify\("
    rb"|validateEvent\(|verify_header|Webhook\.construct"
)
SESSION = re.compile(
    rb"getServerSession|\bauth\(\)|currentUser\(|getUser\(|getSession\(|requireAuth|requireUser|withAuth|getAuth\("
    rb"|verifyToken|verifyIdToken|getUserIdentity|getAuthUserId|current_user|login_required|validateRequest|jwt\.verify"
)
USE = re.compile(rb"^\s*[\"']use (server|client)[\"']", re.MULTILINE)
HOOKS = re.compile(  # what runs in a browser alone
    rb"import\s*(?:\w+\s*,\s*)?\{[^}]*\b(?:useState|useEffect|useReducer|useRef|useCallback)\b[^}]*\}\s*from\s*[\"']react[\"']"
)
SERVED = re.compile(  # a page whose file has the server's part as well, which the bundler takes out
    rb"(?m)^export\s+(?:(?:async\s+)?function\s*\*?|const|let)\s+(?:loader|action|get(?:ServerSide|Static)Props)\b"
    rb"|\bcreateServerFn\("
)
WINDOW = 32 * 1024  # functions lie in each other: what is looked at of each is bounded


def directive_of(source: bytes) -> str:
    """Where a file says that it runs; "client" as well where what it uses is of the browser alone."""
    said = USE.search(source[:400])
    if said is None:
        return "client" if HOOKS.search(source) is not None and SERVED.search(source) is None else ""
    inside_function = b"{" in re.sub(rb"import[^;\n]*", b"", source[: said.start()])
    return "" if inside_function else said.group(1).decode()


def is_of_reports(head: bytes) -> bool:
    """Whether a catch is for any error, or for those of a provider and the way to it."""
    names = ERRORS.findall(head)
    return not names or any(WIDE.search(one) for one in names) or PROVIDERS.search(head) is not None


def is_beside(head: bytes) -> bool:
    """Whether a catch names only errors that are none of a report's: of parsing, of a table, of whoever ends it all."""
    names = ERRORS.findall(head)
    return bool(names) and all(BESIDE.match(one) for one in names)


def catch_kind(text: bytes) -> str:
    """What a catch clause does with the error; what its remarks say of that proves nothing."""
    text = LOGGING.sub(b"", REMARK.sub(b"", text[:WINDOW]))
    if RETHROW.search(text):
        return "rethrow"
    if RESPOND.search(text):
        return "respond"
    if RECORD.search(text):
        return "record"
    said = SPECIAL.sub(b"", text)
    if not SIGNAL.search(said):
        return "log"
    return "accept" if ACCEPT.search(said) else "signal"


def holds_secret(text: bytes) -> bool:
    """Whether a secret that only the application's own services know is named, not one of a kit it uses."""
    return any(not KIT.search(hit[0]) for hit in SECRET.finditer(text)) or ROLE.search(text) is not None


def flags_of(text: bytes) -> tuple[str, ...]:
    """What a function's own words say about its guards."""
    text = text[:WINDOW]
    flags = []
    if COMPARED.search(text) and holds_secret(text):
        flags.append("secret")
    if VERIFIED.search(text):
        flags.append("verified")
    if SESSION.search(text):
        flags.append("session")
    found = USE.search(text[:200])
    if found:
        flags.append("use " + found.group(1).decode())
    return tuple(flags)
