"""A text in Chinese and English, kept apart until somebody reads it."""

from typing import Literal

import msgspec

Language = Literal["zh", "en", "both"]
"""`both` puts the Chinese before the English: terminals and files, whose reader is not known."""


class Words(msgspec.Struct, frozen=True):
    """One text in both languages. A reader gets the whole text in one of them, or both."""

    zh: str
    en: str

    def told(self, language: Language) -> str:
        """The text for a reader."""
        if language == "both":
            return f"{self.zh} {self.en}" if self.zh and self.en else self.zh or self.en
        return self.zh if language == "zh" else self.en

    def then(self, other: "Words") -> "Words":
        """This text with another behind it, language by language."""
        return Words(f"{self.zh}{other.zh}", f"{self.en} {other.en}".strip())


NO_WORDS = Words("", "")
