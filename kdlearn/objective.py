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
import numbers
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from kdlearn.backend import Array
from kdlearn.nn.network import Network, UnknownSiteError

Sites: TypeAlias = Mapping[str, Array]
Loss: TypeAlias = Callable[..., tuple[Array, Any]]
Weight: TypeAlias = "float | str | Callable[[float], float]"


@dataclass
class Trace:
    """What one evaluation leaves behind: gradients by site, values by term, adaptors seen, and what each
    `Through` lent to `fixed`; given beforehand, that is held."""

    gradients: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Array] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    lent: dict[int, Array] | None = None

    def add(self, site: str, gradient: Array) -> None:
        """Several losses at one site: the gradient of a sum is the sum of the gradients."""
        known = self.gradients.get(site)
        self.gradients[site] = gradient if known is None else known + gradient


class Objective:
    """A function of sites. Subclasses say what they read and how they evaluate."""

    def __call__(
        self,
        live: Sites,
        fixed: Sites,
        values: dict[str, Array] | None = None,
        lent: dict[int, Array] | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """`(value, {site: gradient})`; writes the gradients of its adaptors.

        Parameters
        ----------
        live : sites that gradients flow to.
        fixed : sites that are held: labels, teachers, detached copies of live sites.
        values : if given, each term's own value (before its weight) is added to it by name.
        lent : a dict to be filled with what adaptors lend to `fixed`; handed over again, that is held
            whatever `live` has become. The checks of gradients need it, training does not.
        """
        trace = Trace(lent=lent)
        value = self.evaluate(live, fixed, trace)
        if values is not None:
            values.update(trace.values)
        return value, trace.gradients

    def evaluate(self, live: Sites, fixed: Sites, trace: Trace) -> Array:
        """The value; gradients and the terms' values go into `trace`."""
        raise NotImplementedError

    def walk(self) -> Iterator[Objective]:
        """This objective and every one inside it, in the order they are evaluated."""
        yield self

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
    def nets(self) -> tuple[Network, ...]:
        """The adaptors it trains, each once."""
        found = {id(o.net): o.net for o in self.walk() if isinstance(o, Through)}
        return tuple(found.values())

    @property
    def ascending(self) -> frozenset[int]:
        """Identities of the adaptors that ascend."""
        return frozenset(id(o.net) for o in self.walk() if isinstance(o, Through) and o.ascend)

    def __add__(self, other: Objective) -> Objective:
        if not isinstance(other, Objective):
            return NotImplemented
        return Sum(_parts(self) + _parts(other))

    def __mul__(self, weight: Weight) -> Objective:
        if not (isinstance(weight, (numbers.Real, str)) or callable(weight)) or isinstance(weight, bool):
            return NotImplemented
        return self.scaled(weight)

    __rmul__ = __mul__

    def scaled(self, weight: Weight) -> Objective:
        """This objective times a weight, which is carried down to its leaves."""
        raise NotImplementedError


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

    @property
    def function(self) -> Loss:
        """The loss without the arguments that are set beforehand."""
        loss: Any = self.loss
        while isinstance(loss, functools.partial):
            loss = loss.func
        return loss

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
        """See `Objective.reads`."""
        _, schedules, rows = self._factors
        return set(self.live), {*self.fixed, *rows, *(("progress",) if schedules else ())}

    @property
    def row_weights(self) -> tuple[str, ...]:
        """Names of the fixed sites that hold one weight a row."""
        return self._factors[2]

    def factor(self, fixed: Sites) -> float:
        """Its weight at this step: the numbers times the schedules, without the weights of rows."""
        weight, schedules, _ = self._factors
        for schedule in schedules:
            weight *= schedule(_site("progress", fixed, "fixed"))
        return weight

    def scaled(self, weight: Weight) -> Term:
        """See `Objective.scaled`."""
        known = self.weight if isinstance(self.weight, tuple) else (self.weight,)
        return replace(self, weight=(*known, weight))

    def evaluate(self, live: Sites, fixed: Sites, trace: Trace) -> Array:
        """See `Objective.evaluate`."""
        weight, rows = self.factor(fixed), self.row_weights
        arrays = [*_sites(self.live, live, "live"), *_sites(self.fixed, fixed, "fixed")]
        if rows:
            per_row = _site(rows[0], fixed, "fixed")
            for name in rows[1:]:
                per_row = per_row * _site(name, fixed, "fixed")
            value, gradients = self.loss(*arrays, weight=per_row)
        else:
            value, gradients = self.loss(*arrays)
        trace.values[self.name] = value
        if len(self.live) == 1 and not isinstance(gradients, tuple):
            gradients = (gradients,)
        for site, gradient in zip(self.live, gradients, strict=True):
            trace.add(site, gradient if weight == 1.0 else weight * gradient)
        return value if weight == 1.0 else weight * value


def Match(student_site: str, teacher_site: str, loss: Loss, weight: Weight = 1.0) -> Term:
    """`loss(student, teacher)` between a live and a fixed site."""
    return Term(loss, (student_site,), (teacher_site,), weight)


@dataclass(frozen=True)
class Sum(Objective):
    """The sum of its parts; written `a + b`."""

    parts: tuple[Objective, ...]

    def walk(self) -> Iterator[Objective]:
        """See `Objective.walk`."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def reads(self) -> tuple[set[str], set[str]]:
        """See `Objective.reads`."""
        pairs = [part.reads() for part in self.parts]
        return set().union(*(live for live, _ in pairs)), set().union(*(fixed for _, fixed in pairs))

    def scaled(self, weight: Weight) -> Sum:
        """See `Objective.scaled`."""
        return Sum(tuple(part.scaled(weight) for part in self.parts))

    def evaluate(self, live: Sites, fixed: Sites, trace: Trace) -> Array:
        """See `Objective.evaluate`."""
        total = self.parts[0].evaluate(live, fixed, trace)
        for part in self.parts[1:]:
            total = total + part.evaluate(live, fixed, trace)
        return total


@dataclass(frozen=True)
class Through(Objective):
    """`inner` seen through a trainable adaptor.

    `net` maps the live `sources` to a new site `target`, which `inner` may read: from `live`,
    with gradients, and, detached, from `fixed`. The adaptor's own gradient is written into
    `net.grad`, and the training step updates it like a student.

    Parameters
    ----------
    net : a network whose output is the tap `"logits"`.
    sources : a live site, or several in the order of the arguments of `net.forward`.
    target : name of the new site.
    inner : an objective that reads it.
    ascend : the adaptor climbs the objective that everything else descends: its own gradient is
        written with the opposite sign (gradient reversal, Ganin and Lempitsky 2015). What flows
        back to the sources is not reversed.
    """

    net: Network
    sources: str | tuple[str, ...]
    target: str
    inner: Objective
    ascend: bool = False

    @property
    def _names(self) -> tuple[str, ...]:
        return (self.sources,) if isinstance(self.sources, str) else tuple(self.sources)

    def walk(self) -> Iterator[Objective]:
        """See `Objective.walk`."""
        yield self
        yield from self.inner.walk()

    def reads(self) -> tuple[set[str], set[str]]:
        """See `Objective.reads`."""
        live, fixed = self.inner.reads()
        return live - {self.target} | set(self._names), fixed - {self.target}

    def scaled(self, weight: Weight) -> Through:
        """See `Objective.scaled`: the weight goes inside, or the adaptor's gradient would miss it."""
        return replace(self, inner=self.inner.scaled(weight))

    def evaluate(self, live: Sites, fixed: Sites, trace: Trace) -> Array:
        """See `Objective.evaluate`."""
        arrays = [_site(name, live, "live") for name in self._names]
        taps, caches = self.net.forward(*arrays, taps=("logits",))  # type: ignore[misc]
        made = {self.target: taps["logits"]}
        held = taps["logits"]
        if trace.lent is not None:
            held = trace.lent.setdefault(id(self), held.copy())
        value = self.inner.evaluate({**live, **made}, {**fixed, self.target: held}, trace)
        gradient = trace.gradients.pop(self.target, None)
        if gradient is None:
            raise UnknownSiteError(f"nothing inside Through reads its target {self.target!r} from live")
        if self.ascend:
            gradient = -gradient
        dx = self.net.backward(caches, {"logits": gradient}, accumulate=id(self.net) in trace.seen, need_dx=True)
        trace.seen.add(id(self.net))
        for name, g in zip(self._names, dx if isinstance(dx, tuple) else (dx,), strict=True):
            trace.add(name, -g if self.ascend else g)
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

    def walk(self) -> Iterator[Objective]:
        """See `Objective.walk`."""
        yield self
        yield from self.inner.walk()

    def reads(self) -> tuple[set[str], set[str]]:
        """See `Objective.reads`."""
        live, fixed = self.inner.reads()
        return live, fixed - {self.target} | set(self.sources)

    def scaled(self, weight: Weight) -> Given:
        """See `Objective.scaled`."""
        return replace(self, inner=self.inner.scaled(weight))

    def evaluate(self, live: Sites, fixed: Sites, trace: Trace) -> Array:
        """See `Objective.evaluate`."""
        made = self.function(*(_site(name, fixed, "fixed") for name in self.sources))
        return self.inner.evaluate(live, {**fixed, self.target: made}, trace)


def _parts(objective: Objective) -> tuple[Objective, ...]:
    return objective.parts if isinstance(objective, Sum) else (objective,)


def _sites(names: tuple[str, ...], sites: Sites, kind: str) -> list[Any]:
    try:
        return [sites[name] for name in names]
    except KeyError:
        return [_site(name, sites, kind) for name in names]


def _site(name: str, sites: Sites, kind: str) -> Any:
    try:
        return sites[name]
    except KeyError:
        there = ", ".join(sorted(sites)) or "none"
        raise UnknownSiteError(f"no {kind} site {name!r}; there are: {there}") from None
