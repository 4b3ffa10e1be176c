"""The provider port, and one folder a provider."""

from tallystick.providers.port import Answer, Instruction, Outcome, Profile, Provider

__all__ = ["Answer", "Instruction", "Outcome", "Profile", "Provider"]
