"""The static auditor: does this codebase bill what was used?"""
