"""The algebra of objectives: everything that can be distilled is an expression in it.

A *site* is a named array: `"student.logits"`, `"teacher.h2"`, a column `"y"` of the data. An
objective maps sites to `(value, {site: gradient})`. Gradients flow only to what it reads from
`live`; labels, teachers and cached soft labels are read from `fixed`. Stop-gradient is therefore
which of the two mappings is read. A label is a teacher that does not learn.

    Term(loss, live, fixed)                 one loss at named sites
    Match(student_site, teacher_site, loss) the common two-site Term
    a + b, 0.3 * a                          sums and weights
    Through(net, sources, target, inner)    a trainable adaptor between sites
    Given(target, function, sources, inner) a fixed site computed from fixed sites
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from kdlearn.backend import Array, array_module
from kdlearn.checks import check_parts, check_sites, check_term
from kdlearn.loss import average, computed, member_by_member, product, split_members, told_by_name, unwrapped
from kdlearn.nn.module import Module
from kdlearn.nn.network import UnknownSiteError, site_of

Sites: TypeAlias = Mapping[str, Array]
Loss: TypeAlias = Callable[..., tuple[Array, Any]]
Weight: TypeAlias = "float | str | Callable[[float], float]"


class Evaluation:
    """What an objective answers.

    value : the objective, a 0-d array; for a stack of R networks (R,), one value a member.
    gradients : {live site: gradient of the value}; for a stack, of each member's own value.
    terms : {name of a term: its value before its weight}; of equal names the second ends in ` #2`, and so on.
    counts : {name of a term: what its mean is over, where not over all rows}, of each member.
    made : {target: array}, what the adaptors published on the way.
    members, backward : what was asked, for the objectives inside (see `Objective.__call__`).

    Given as fixed sites to a second evaluation, what was made is held: that is how the checks test a
    stop-gradient inside a `Through`.
    """

    __slots__ = ("backward", "counts", "gradients", "made", "members", "terms", "value")

    def __init__(self, members: int = 1, backward: bool = True) -> None:
        self.value: Any = 0.0
        self.gradients: dict[str, Array] = {}
        self.terms: dict[str, Array] = {}
        self.counts: dict[str, Array] = {}
        self.made: dict[str, Array] = {}
        self.members, self.backward = members, backward

    def add(self, site: str, gradient: Array) -> None:
        """Several losses at one site: the gradient of a sum is the sum of the gradients."""
        known = self.gradients.get(site)
        self.gradients[site] = gradient if known is None else known + gradient

    def report(self, term: str, value: Array, count: Array | None = None) -> None:
        """Enter a term's value, under a name of its own."""
        name, number = term, 1
        while name in self.terms:
            number += 1
            name = f"{term} #{number}"
        self.terms[name] = value
        if count is not None:
            self.counts[name] = count


class Objective:
    """A function of sites. Subclasses say what they read, how they evaluate, and which objectives are inside."""

    @property
    def inside(self) -> tuple[Objective, ...]:
        """The objectives that this one is made of; none for a leaf."""
        return ()

    def each(self, change: Callable[[Objective], Objective]) -> Objective:
        """This objective, with `change` of each that is inside in its place; a leaf as it is."""
        return self

    def __call__(self, live: Sites, fixed: Sites, *, members: int = 1, backward: bool = True) -> Evaluation:
        """Evaluate; the gradients of the adaptors go into the adaptors.

        Parameters
        ----------
        live : sites that gradients flow to.
        fixed : sites that are held: labels, teachers, detached copies of live sites.
        members : R, where sites hold the rows of R networks of a stack, one member after the other.
        backward : False for the values alone; adaptors are left as they are then.
        """
        result = Evaluation(members, backward)
        result.value = self.evaluate(live, fixed, result)
        return result

    def evaluate(self, live: Sites, fixed: Sites, result: Evaluation) -> Array:
        """The value; gradients and the terms' values go into `result`."""
        raise NotImplementedError

    def walk(self) -> Iterator[Objective]:
        """This objective and every one inside it, in the order they are evaluated."""
        yield self
        for part in self.inside:
            yield from part.walk()

    def reads(self) -> tuple[set[str], set[str]]:
        """Names read from `live` and from `fixed`, without those it computes itself."""
        raise NotImplementedError

    @property
    def terms(self) -> tuple[Term, ...]:
        """The leaves."""
        return tuple(o for o in self.walk() if isinstance(o, Term))

    # an objective never changes, so what it reads and trains is found once, not at every step
    @functools.cached_property
    def sites(self) -> frozenset[str]:
        """Every site it needs from outside, live or fixed."""
        live, fixed = self.reads()
        return frozenset(live | fixed)

    @functools.cached_property
    def nets(self) -> tuple[Module, ...]:
        """The adaptors it trains, each once; what has no parameters is none of them."""
        return tuple(dict.fromkeys(o.net for o in self.walk() if isinstance(o, Through) and o.net.n_parameters))

    @functools.cached_property
    def makes(self) -> frozenset[str]:
        """The sites it computes itself. ValueError where two parts of it make one of the same name."""
        targets = [o.target for o in self.walk() if isinstance(o, (Through, Given))]
        twice = {t for t in targets if targets.count(t) > 1}
        if twice:
            raise ValueError(f"the site {min(twice)!r} is made twice; give each Through and Given a target of its own")
        return frozenset(targets)

    def with_nets(self, nets: Mapping[Module, Module]) -> Objective:
        """This objective with other adaptors in the place of its own, {own: other}."""
        return self.each(lambda part: part.with_nets(nets))

    def ascends(self, net: Module) -> bool:
        """Whether this adaptor climbs the objective."""
        return any(o.ascend for o in self.walk() if isinstance(o, Through) and o.net is net)

    def __add__(self, other: Objective) -> Objective:
        if not isinstance(other, Objective):
            return NotImplemented
        return Sum(_parts(self) + _parts(other))

    def __radd__(self, other: Any) -> Objective:
        return self if isinstance(other, int) and other == 0 else NotImplemented  # sum(…) begins with 0

    def __mul__(self, weight: Weight) -> Objective:
        if not (isinstance(weight, (numbers.Real, str)) or callable(weight)) or isinstance(weight, (bool, Objective)):
            return NotImplemented
        return self.scaled(weight)

    __rmul__ = __mul__
    __array_ufunc__ = None  # an array times an objective is no array of objectives but a TypeError

    def scaled(self, weight: Weight) -> Objective:
        """This objective times a weight, carried down to its leaves: an adaptor's gradient must not miss it."""
        return self.each(lambda part: part.scaled(weight))


@dataclass(frozen=True)
class Term(Objective):
    """One loss at named sites: the leaf of every objective.

    Parameters
    ----------
    loss : function of the live arrays, then the fixed arrays, that returns `(value, gradient)`;
        with several live sites, a tuple of gradients.
    live, fixed : names of the sites, in the loss's order.
    weight : a number; a function of the training's progress in [0, 1]; the name of a fixed site
        that holds one weight a row (the loss must take `weight=`); or a tuple of these, multiplied.
    """

    loss: Loss
    live: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    weight: Weight | tuple[Weight, ...] = 1.0

    def __post_init__(self) -> None:
        weights = self.weight if isinstance(self.weight, tuple) else (self.weight,)
        check_term(unwrapped(self.loss), self.live, self.fixed, weights)
        if self.row_weights and not self.weighable:
            raise TypeError(
                f"{self.name} takes no weight a row (here {self.row_weights[0]!r}): it compares the rows of a batch, "
                "or does not say that it is a mean over them, as a loss does by @kd.mean_over_rows"
            )

    @functools.cached_property
    def function(self) -> Loss:
        """The loss without the arguments that are set beforehand."""
        return unwrapped(self.loss)[0]

    @functools.cached_property
    def by_rows(self) -> bool:
        """Whether the loss says that it is a mean over rows (`kdlearn.loss.mean_over_rows`)."""
        return hasattr(self.function, "rows")

    @functools.cached_property
    def averaged(self) -> tuple[Loss, dict[str, Any], dict[str, Any]] | None:
        """See `kdlearn.loss.told_by_name`; a mean over rows whose settings are all given by name."""
        return told_by_name(self.loss, len(self.live) + len(self.fixed))

    @functools.cached_property
    def weighable(self) -> bool:
        """Whether the loss takes one weight a row."""
        return self.by_rows or "weight" in inspect.signature(self.function).parameters

    @functools.cached_property
    def name(self) -> str:
        """The loss and its sites, e.g. `soft_targets(student.logits, teacher.logits)`."""
        function = self.function
        return f"{getattr(function, '__name__', type(function).__name__)}({', '.join(self.live + self.fixed)})"

    @functools.cached_property
    def _factors(self) -> tuple[float, tuple[Callable[[float], float], ...], tuple[str, ...]]:
        weights = self.weight if isinstance(self.weight, tuple) else (self.weight,)
        number = 1.0
        for w in weights:
            number *= float(w) if isinstance(w, numbers.Real) else 1.0
        return number, tuple(w for w in weights if callable(w)), tuple(w for w in weights if isinstance(w, str))

    def reads(self) -> tuple[set[str], set[str]]:
        return set(self.live), {*self.fixed, *self.row_weights, *(("progress",) if self.schedules else ())}

    @property
    def row_weights(self) -> tuple[str, ...]:
        """Names of the fixed sites that hold one weight a row."""
        return self._factors[2]

    @property
    def schedules(self) -> tuple[Callable[[float], float], ...]:
        """Its weights that are functions of the progress."""
        return self._factors[1]

    def factor(self, fixed: Sites) -> float:
        """Its weight at this step: the numbers times the schedules, without the weights of rows."""
        number, schedules, _ = self._factors
        return math.prod((schedule(site_of("progress", fixed, "fixed")) for schedule in schedules), start=number)

    def scaled(self, weight: Weight) -> Term:
        known = self.weight if isinstance(self.weight, tuple) else (self.weight,)
        return replace(self, weight=(*known, weight))

    def evaluate(self, live: Sites, fixed: Sites, result: Evaluation) -> Array:
        try:
            arrays = [*map(live.__getitem__, self.live), *map(fixed.__getitem__, self.fixed)]
        except KeyError:
            arrays = [site_of(n, live, "live") for n in self.live] + [site_of(n, fixed, "fixed") for n in self.fixed]
        number, schedules, rows = self._factors
        weight = self.factor(fixed) if schedules else number
        per_row = product([site_of(name, fixed, "fixed") for name in rows], rows) if rows else None
        if self.averaged is not None:
            loss, settings, how = self.averaged
            value, gradients, n = average(loss, arrays, settings, per_row, members=result.members, factor=weight, **how)
        else:
            n, more = None, {} if per_row is None else {"weight": per_row}
            if result.members == 1:
                value, gradients = self.loss(*arrays, **more)
            else:
                value, gradients = member_by_member(self.loss, arrays, more, result.members)
            gradients = gradients if isinstance(gradients, tuple) else (gradients,)
            if weight != 1.0:
                gradients = tuple(weight * g for g in gradients)
        result.report(self.name, value, n)
        if weight == 0.0:  # switched off, even if infinite
            zeros = array_module(arrays[0]).zeros_like
            value, gradients = zeros(value), tuple(zeros(g) for g in gradients)
        if result.backward:
            if len(gradients) != len(self.live):
                raise ValueError(f"{self.name} gives {len(gradients)} gradients for {len(self.live)} live sites")
            for site, gradient, a in zip(self.live, gradients, arrays):
                if gradient.shape != a.shape:  # it would be broadcast
                    raise ValueError(f"{self.name}: the gradient at {site!r} has shape {gradient.shape}, not {a.shape}")
                result.add(site, gradient)
        return value if weight == 1.0 else weight * value


def Match(student_site: str, teacher_site: str, loss: Loss, weight: Weight = 1.0) -> Term:
    """`loss(student, teacher)` between a live and a fixed site."""
    return Term(loss, (student_site,), (teacher_site,), weight)


@dataclass(frozen=True)
class Sum(Objective):
    """The sum of its parts; written `a + b`."""

    parts: tuple[Objective, ...]

    def __post_init__(self) -> None:
        check_parts(self.parts)

    @property
    def inside(self) -> tuple[Objective, ...]:
        return self.parts

    def each(self, change: Callable[[Objective], Objective]) -> Sum:
        return Sum(tuple(change(part) for part in self.parts))

    def reads(self) -> tuple[set[str], set[str]]:
        pairs = [part.reads() for part in self.parts]
        return set().union(*(live for live, _ in pairs)), set().union(*(fixed for _, fixed in pairs))

    def evaluate(self, live: Sites, fixed: Sites, result: Evaluation) -> Array:
        total = self.parts[0].evaluate(live, fixed, result)
        for part in self.parts[1:]:
            total = total + part.evaluate(live, fixed, result)
        return total


@dataclass(frozen=True)
class Through(Objective):
    """`inner` seen through a trainable adaptor.

    `net` maps the live `sources` to a new site `target`, which `inner` may read: from `live`,
    with gradients, and, detached, from `fixed`. The adaptor's own gradient is written into
    `net.grad`, and the training step updates it like a student.

    Parameters
    ----------
    net : a network whose output is the tap `"logits"`. One without parameters, such as a single `Select`, is not
        trained; it works in the sources' precision, and as it is for stacks of any size. It runs without dropout.
    sources : a live site, or several in the order of the arguments of `net.forward`.
    target : name of the new site.
    inner : an objective that reads it.
    ascend : the adaptor climbs the objective that everything else descends: its own gradient is
        written with the opposite sign (gradient reversal, Ganin and Lempitsky 2015). What flows
        back to the sources is not reversed.
    """

    net: Module
    sources: str | tuple[str, ...]
    target: str
    inner: Objective
    ascend: bool = False

    def __post_init__(self) -> None:
        if self.target not in self.inner.reads()[0]:
            raise UnknownSiteError(f"nothing inside Through reads its target {self.target!r} from live")

    @property
    def _names(self) -> tuple[str, ...]:
        return (self.sources,) if isinstance(self.sources, str) else tuple(self.sources)

    @property
    def inside(self) -> tuple[Objective, ...]:
        return (self.inner,)

    def each(self, change: Callable[[Objective], Objective]) -> Through:
        return replace(self, inner=change(self.inner))

    def reads(self) -> tuple[set[str], set[str]]:
        live, fixed = self.inner.reads()
        return live - {self.target} | set(self._names), fixed - {self.target}

    def with_nets(self, nets: Mapping[Module, Module]) -> Through:
        """See `Objective.with_nets`."""
        return replace(self, net=nets.get(self.net, self.net), inner=self.inner.with_nets(nets))

    def evaluate(self, live: Sites, fixed: Sites, result: Evaluation) -> Array:
        trained = self.net.n_parameters > 0
        if trained and self.net.members != result.members:
            raise ValueError(
                f"the adaptor that makes {self.target!r} is one network, the students are stacks of {result.members}; "
                "give it a kd.Stack with one adaptor a member"
            )
        sources = [site_of(name, live, "live") for name in self._names]
        given = [a.astype(self.net.theta.dtype, copy=False) for a in sources] if trained else sources
        taps, caches = self.net.forward(*given, taps=("logits",))
        made = result.made[self.target] = taps["logits"]
        held = {self.target: made, **fixed}  # a check that holds it puts it there
        value = self.inner.evaluate({**live, self.target: made}, held, result)
        if not result.backward:
            return value
        gradient = result.gradients.pop(self.target)
        dx = self.net.backward(caches, {"logits": -gradient if self.ascend else gradient}, need_dx=True)
        for name, a, g in zip(self._names, sources, dx if isinstance(dx, tuple) else (dx,), strict=True):
            result.add(name, (-g if self.ascend else g).astype(a.dtype, copy=False))
        return value


@dataclass(frozen=True)
class Given(Objective):
    """`inner` with one more fixed site: `target = function(*sources)`, without a gradient.

    Teacher averages, confidence weights, virtual teachers: anything computed from what is held.
    """

    target: str
    function: Callable[..., Array]
    sources: tuple[str, ...]
    inner: Objective

    def __post_init__(self) -> None:
        check_sites(sources=self.sources)
        if self.target not in self.inner.reads()[1]:
            raise UnknownSiteError(f"nothing inside Given reads its target {self.target!r} from fixed")

    @property
    def inside(self) -> tuple[Objective, ...]:
        return (self.inner,)

    def each(self, change: Callable[[Objective], Objective]) -> Given:
        return replace(self, inner=change(self.inner))

    def reads(self) -> tuple[set[str], set[str]]:
        live, fixed = self.inner.reads()
        return live, fixed - {self.target} | set(self.sources)

    def evaluate(self, live: Sites, fixed: Sites, result: Evaluation) -> Array:
        sources = [site_of(name, fixed, "fixed") for name in self.sources]
        # it may compare rows, and only those of one member belong together
        each = [sources] if result.members == 1 else split_members(sources, result.members)
        made = computed(self.target, [self.function(*own) for own in each])
        return self.inner.evaluate(live, {**fixed, self.target: made}, result)


def _parts(objective: Objective) -> tuple[Objective, ...]:
    return objective.parts if isinstance(objective, Sum) else (objective,)
