"""The filter's cycle: begin, step, revise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agent.core.nouns import F8
from agent.twin.filtering import correct, roots, steady
from agent.twin.filtering.bounds import bounds, physical, sound
from agent.twin.filtering.predict import predicted
from agent.twin.filtering.values import Belief, Filter, Innovation, Moment, Past, Sample, Trim
from agent.twin.plant import Plant

# Samples kept for late ones.
WINDOW = 16
# Share of a period by which a sample may miss the grid and still be taken as on it; what it missed by is carried on.
JITTER = 0.05


def begin(
    plant: Plant,
    sample: Sample,
    *,
    reference: float = 1.0,
    frozen: bool = False,
    window: int = WINDOW,
    prior: Belief | None = None,
) -> Filter:
    """The filter that a first sample suggests: the prior, corrected by what is there, no innovation over BOUND.

    An absent input counts as its mean. Keyword arguments as in `step`; window: samples kept for late ones; prior: what
    is believed beforehand, the plant's own if left out."""
    trim = Trim(reference, frozen, True)
    first = sound(plant, sample, bounds(plant).u_mean)
    none = np.zeros(len(plant.outputs), np.int64)
    before = prior or Belief(plant.prior[0], roots.root(plant.prior[1]))
    belief, _, _ = correct.corrected(plant, before, first, none, trim)
    return Filter(Moment(sample.t_ns, physical(plant, belief), first.u, none, 0), (), window, 0)


def step(
    plant: Plant,
    filter: Filter,
    sample: Sample,
    *,
    reference: float = 1.0,
    frozen: bool = False,
    bounded: bool = False,
    floor: float = 0.0,
) -> tuple[Filter, Innovation]:
    """The filter after one more sample, any time later, and what the sample said; arguments as in `Trim`.

    Nothing in a sample raises: what is absent is left out, what is absurd is cut."""
    trim = Trim(reference, frozen, bounded, floor)
    if filter.past and sample.t_ns <= filter.past[-1].sample.t_ns:
        return revise(plant, filter, sample, trim), _nothing(plant, filter)
    return _stepped(plant, filter, sample, trim)


def revise(plant: Plant, filter: Filter, late: Sample, trim: Trim | None = None) -> Filter:
    """The filter as if `late` had come in its turn: rolled back, the sample put in, those after it replayed.

    A sample of a time that is known is merged: what is there in `late` takes the place of what was. One from before
    the window is dropped and counted. trim: how it is taken, else as the sample before it was."""
    later = [k for k, past in enumerate(filter.past) if past.sample.t_ns >= late.t_ns]
    if filter.past and not later:
        return _stepped(plant, filter, late, trim or filter.past[-1].trim)[0]
    if not later or late.t_ns < filter.past[later[0]].before.t_ns:
        return replace(filter, dropped=filter.dropped + 1)
    first = later[0]
    replayed = list(filter.past[first:])
    if replayed[0].sample.t_ns == late.t_ns:
        replayed[0] = replace(replayed[0], sample=_merged(replayed[0].sample, late))
    else:
        how = trim or filter.past[max(first - 1, 0)].trim
        replayed.insert(0, Past(late, replayed[0].before, how))
    back = replace(filter, now=replayed[0].before, past=filter.past[:first])
    for past in replayed:
        back, _ = _stepped(plant, back, past.sample, past.trim)
    return back


def outputs(plant: Plant, belief: Belief, u: F8) -> tuple[F8, F8]:
    """Every output f8[p+v] of a belief and its standard deviation f8[p+v]: after a correction, the virtual sensors."""
    both, n = correct.joint(plant, belief, u), len(belief.x)
    return both.mean[n:], np.sqrt(roots.variances(both.wide[n:]))


def _stepped(plant: Plant, filter: Filter, sample: Sample, trim: Trim) -> tuple[Filter, Innovation]:
    now, innovation = _moved(plant, filter.now, sample, trim)
    past = (*filter.past, Past(sample, filter.now, trim))[-filter.window :] if filter.window else ()
    return Filter(now, past, filter.window, filter.dropped), innovation


def _merged(known: Sample, late: Sample) -> Sample:
    """What is there in `late`, else what was known."""
    here = np.isfinite(late.y)
    return Sample(
        known.t_ns,
        np.where(np.isfinite(late.u), late.u, known.u),
        np.where(here, late.y, known.y),
        np.where(here, late.weight, known.weight),
    )


def _nothing(plant: Plant, filter: Filter) -> Innovation:
    """What a late sample says of the present: nothing."""
    absent = Sample(filter.t_ns, filter.u, np.full(len(plant.outputs), np.nan), np.ones(len(plant.outputs)))
    return correct.corrected(plant, filter.belief, absent, filter.rejected, Trim())[2]


def _moved(plant: Plant, now: Moment, sample: Sample, trim: Trim) -> tuple[Moment, Innovation]:
    """One sample on."""
    period_ns = bounds(plant).period_ns
    if now.settled and abs(sample.t_ns - now.t_ns - period_ns) <= JITTER * period_ns:
        done = steady.settled(plant, now, sample, trim)
        if done is not None:
            return done
    t_ns = _time(now.t_ns, sample.t_ns, period_ns)
    here = sound(plant, sample, now.u)
    ahead = predicted(plant, now.belief, now.u, t_ns - now.t_ns, trim)
    belief, rejected, innovation = correct.corrected(plant, ahead, here, now.rejected, trim)
    limit = None
    if plant.affine is not None and t_ns - now.t_ns == period_ns and not rejected.any():
        limit = steady.settling(plant, now.belief, belief, sample, trim)
    if limit is not None:
        belief = Belief(belief.x, limit.root)
    return Moment(t_ns, physical(plant, belief), here.u, rejected, int(limit is not None)), innovation


def _time(before_ns: int, sample_ns: int, period_ns: int) -> int:
    """The time of the belief after a sample: on the grid of whole periods where the sample is near it."""
    periods = max(round((sample_ns - before_ns) / period_ns), 0)
    grid_ns = before_ns + periods * period_ns
    if abs(sample_ns - grid_ns) <= JITTER * period_ns:
        return grid_ns
    return max(sample_ns, before_ns)
