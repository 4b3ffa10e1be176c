"""Quantities from the answers and streams of language models: `openai`, `anthropic`, `litellm`.

Pure functions over what the providers' APIs return, as objects or as parsed JSON; none of their packages is needed.
"""

from tallystick.llm.extractor import Extractor
from tallystick.llm.gathering import Anthropic, LiteLLM, OpenAI
from tallystick.llm.tokens import FOLDED, Split, Tokens

__all__ = ["FOLDED", "Extractor", "Split", "Tokens", "anthropic", "litellm", "openai"]

openai = Extractor(OpenAI)
anthropic = Extractor(Anthropic)
litellm = Extractor(LiteLLM)
