"""The name of a step of a pipeline, or of a part inside it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a pipeline, or a part of a step that is recorded separately.

    Args:
        name: The name in ledgers, traces and reports, such as ``stages.0 rerank`` or
            ``retriever.1 dense``.
        path: The place in the pipeline's tree, such as ``stages.0`` or ``retriever.1``.
        component: The registered type; empty for the retriever of the pipeline, and for parts that have a name of
            their own.
    """

    name: str
    path: str
    component: str = ""

    @classmethod
    def named(cls, name: str) -> Step:
        """A step without a place in a tree."""
        return cls(name, name)

    @classmethod
    def retriever(cls) -> Step:
        """The first step of every pipeline."""
        return cls.named("retriever")

    @classmethod
    def stage(cls, number: int, component: str) -> Step:
        """A stage, by its position among the stages and its registered type."""
        return cls(f"stages.{number} {component}", f"stages.{number}", component)

    def part(self, key: int | str, component: str = "") -> Step:
        """A part of this step.

        Args:
            key: The position of the part among others of its kind, or its name.
            component: The registered type, where the part is a component.

        Example:
            >>> Step.retriever().part(0, "bm25").name
            'retriever.0 bm25'
        """
        name = f"{self.name}.{key} {component}" if component else f"{self.name}.{key}"
        return Step(name, f"{self.path}.{key}", component)

    def holds(self, name: str) -> bool:
        """Whether a recorded name is that of a part of this step, however deep."""
        return name.startswith(f"{self.name}.")
