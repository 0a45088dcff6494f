"""What the nodes of an application ask and tell each other."""

from gatewright.remote.remote import Asked, Parts, Question, Remote

__all__ = ["Asked", "Parts", "Question", "Remote"]
