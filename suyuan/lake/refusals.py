"""What the lake refuses, in words."""


class LakeRefusal(Exception):  # noqa: N818  the reader's word for it
    """The lake cannot do what was asked; the words say why and what to do. What was sealed stays as it is."""


class QuestionRefused(Exception):  # noqa: N818  the reader's word for it
    """A question that cannot be asked, or took too much; the words say why."""
