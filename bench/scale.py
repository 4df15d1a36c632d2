"""How much of everything: enough to tell small differences apart, or what fits into three minutes."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Numbers of one kind of run."""

    rounds: int
    minutes: float
    """After which nothing is run again for its spread."""
    has_everybody: bool
    """Whether each work load has all contenders, or, beyond the CT series, those that a figure to reach is about."""
    images: int
    """CT images of a series."""
    few_images: int
    """Of a series for those that are slow by design."""
    small_images: int
    few_small_images: int
    frames: int
    """Of the multi-frame object, 512 KiB each."""
    echoes: int
    responses: int
    """To one C-FIND."""
    associations: int
    at_once: tuple[int, ...]
    seconds_at_once: float
    idle: int
    links: tuple[int, ...]
    """Round trips, milliseconds."""
    link_rounds: int
    link_images: int
    link_small_images: int
    link_frames: int
    link_echoes: int
    link_queued: int
    """CT images of a series that is stored and forwarded."""
    link_queued_small: int


FULL: Final = Scale(
    rounds=5,
    minutes=90,
    has_everybody=True,
    images=400,
    few_images=60,
    small_images=2000,
    few_small_images=200,
    frames=2048,
    echoes=3000,
    responses=10_000,
    associations=300,
    at_once=(1, 4, 16, 64),
    seconds_at_once=3.0,
    idle=1000,
    links=(20, 80),
    link_rounds=3,
    link_images=60,
    link_small_images=60,
    link_frames=2048,
    link_echoes=60,
    link_queued=400,
    link_queued_small=1000,
)
QUICK: Final = Scale(
    rounds=3,
    minutes=0.5,
    has_everybody=False,
    images=100,
    few_images=12,
    small_images=300,
    few_small_images=40,
    frames=256,
    echoes=500,
    responses=1000,
    associations=60,
    at_once=(1, 16),
    seconds_at_once=0.8,
    idle=200,
    links=(80,),
    link_rounds=1,
    link_images=60,
    link_small_images=10,
    link_frames=160,
    link_echoes=8,
    link_queued=280,
    link_queued_small=200,
)
