"""Counted work: floating-point operations of a Newton step, for choices that the clock must not make.

The unit is one float64 operation inside a matrix product; float32 ones count half.
"""

from dataclasses import dataclass
from functools import cached_property

CALL = 10_000  # operations in the time of one NumPy call on small arrays (1 µs at 10 GFlop/s)
PRODUCTS = 15  # Hessian products of a usual Newton step: fields of tables at reg 1e-2 … 1e-6 take 5 to 40
PRODUCTS_OF_TWO = 4  # the same for two classes, where the Gram is the Hessian up to rounding or a sample
GRAM_ROWS = 40_000  # every so-many-th row of more makes a Gram that preconditions as well
SAMPLE_ROWS = 20_000  # a problem of more than twice as many rows starts from the answer of a sample
TALL_ROWS = 18_000  # of more, the answer of a sample saves more passes than it costs, if its Hessian is small
LEAST_SAMPLE = 3000  # rows of the sample whose Hessian steps are taken with: a pass gains a digit
HESSIAN_IN_PASSES = 25  # that such a sample's Hessian may cost: up to 21 gained
LARGEST_HESSIAN = 1000  # unknowns of one that is factored
LARGEST_EXACT = 3000  # unknowns of steps with the whole Hessian: 72 MB
FLAT_OF_TWO = 400  # features, or rows, from which on steps over the flat pieces of two classes gain little
FLAT_OF_MANY = 600  # the same of more classes, times free columns of W: such steps take up to a second
FLAT_PIECES = 1e6  # times the work of a usual fit: most of such fits are never there; any other way is better
GRAM_IN_PRODUCTS = 100  # a Gram that costs more Hessian products than this saves fewer
BLOCKS_FROM = 10_000_000  # operations of a product, beside which some calls of NumPy for every class are few
LARGEST_BLOCKS = 50_000_000  # entries of a block for every class: half of them are 100 MB at most
SPAN_IN_PRODUCTS = 60  # products of a usual fit with more features than rows
USUAL_STEPS = 8  # of a fit to a gap of 1e-4: fields of tables take 5 to 12
USUAL_STEPS_OF_TWO = 4  # the same for two classes
UNCONDITIONED = 10  # times as many products where the diagonal alone preconditions them
EXP = 20  # operations in the time of one exponential, with what goes over scores beside it
LBFGS_PASSES = 130  # of a usual fit by L-BFGS of many rows: pixels, letters, tables take 5 to 100
LBFGS_PASSES_APART = 300  # the same where rows are few enough to be told apart
MANY_CLASSES = 20  # from which on one Gram for all classes serves each of them badly
SHARE_OF_MANY = 0.5  # of the passes above: with 20 to 1,000 classes L-BFGS takes 0.3 to 0.7 of Newton's time
LBFGS_CALLS = 1500  # of NumPy in the time of what a step of L-BFGS does beside its products, for all at once
TOGETHER = 0.6  # of the time of its products alone that a configuration takes beside others
CROWDED = 3.0  # pairs of a row and another class for each weight: with fewer, classes can be told apart
METRIC_ROWS = 8_000  # of the sample that the metric of L-BFGS is made of
LARGEST_METRIC = 16_384  # features up to which that metric is a matrix
CHEAP = 4_000_000  # a step below this is done in half a millisecond: it is worth its digits


@dataclass(frozen=True)
class Size:
    """The size of a problem.

    Attributes:
        N: Rows.
        D: Columns, the constant one included.
        C: Classes.
        c: Columns of W that are free: C − 1 for losses that do not see a number added to all scores.
        curved: Whether every row bends the loss at all scores; see `SecondOrder`.
    """

    N: int
    D: int
    C: int
    c: int
    curved: bool = True

    @cached_property
    def is_tall(self) -> bool:
        """Whether rows are so many, and unknowns so few, that a sample's Hessian is worth its making."""
        hessian = LEAST_SAMPLE * self.D**2 * self.c * (self.c + 1)
        few = self.N <= 2 * SAMPLE_ROWS and (self.N <= TALL_ROWS or hessian > HESSIAN_IN_PASSES * self.evaluation)
        return not few and self.c * self.D <= LARGEST_HESSIAN

    @cached_property
    def sample_rows(self) -> int:
        """Rows of the sample for many rows: so many that its Hessian costs about as much as a pass."""
        balanced = int(4 * self.N * self.C / (self.D * self.c * (self.c + 1)))
        return min(SAMPLE_ROWS, max(LEAST_SAMPLE, balanced))

    @cached_property
    def sample_hessian(self) -> float:
        """The Hessian of so many rows, in float32."""
        return self.sample_rows * self.D**2 * self.c * (self.c + 1) / 2 + (self.c * self.D) ** 3 / 3

    @cached_property
    def exact(self) -> float:
        """A step with the whole Hessian, which has blocks alone where classes do not touch."""
        if self.is_apart:
            each = self.N * self.D**2 + self.D**3 / 3 + 60 * CALL
            return self.C * each + 4 * self.evaluation
        pairs = self.c * (self.c + 1) // 2
        gram = 2 * self.N * self.D**2 * pairs + self.N * self.C * (self.C - 1) * pairs
        return gram + (self.c * self.D) ** 3 / 3 + (5 * pairs + 60) * CALL + 4 * self.evaluation

    @cached_property
    def evaluation(self) -> float:
        """Value and gradient."""
        return 4 * self.N * self.D * self.C + EXP * self.N * self.C

    @cached_property
    def bare_product(self) -> float:
        """One product with the Hessian in float32."""
        return (2 * self.D + 3) * self.N * self.C + 30 * CALL

    @cached_property
    def product(self) -> float:
        """One product, and the preconditioner applied."""
        return self.bare_product + (2 * self.D**2 * self.C if self.has_gram else 0)

    @cached_property
    def span(self) -> float:
        """The rows rotated into their span: their Gram and its factor."""
        return self.N**2 * self.D + self.N**3 / 3

    @cached_property
    def has_span(self) -> bool:
        """Whether the problem is solved in the span of the rows."""
        return self.N + 1 < self.D and self.span <= SPAN_IN_PRODUCTS * self.bare_product

    @cached_property
    def gram(self) -> float:
        """One weighted Gram in float32 and its factor."""
        return min(self.N, 2 * GRAM_ROWS) * self.D**2 + self.D**3 / 3 + 20 * CALL

    @cached_property
    def has_gram(self) -> bool:
        """Whether the Gram is worth its work as a preconditioner."""
        return self.gram <= GRAM_IN_PRODUCTS * self.bare_product

    @cached_property
    def has_blocks(self) -> bool:
        """Whether each class has a preconditioner of its own."""
        large = self.bare_product >= BLOCKS_FROM and self.C * self.D**2 <= LARGEST_BLOCKS
        return self.C > 2 and self.has_gram and large

    @cached_property
    def preconditioner(self) -> float:
        """One preconditioner."""
        return self.gram if self.has_gram else 2 * self.N * self.D

    @cached_property
    def conjugate(self) -> float:
        """A step by conjugate gradients."""
        products = PRODUCTS_OF_TWO if self.C == 2 else PRODUCTS
        return self.preconditioner + products * self.product + 3 * self.evaluation + 60 * CALL

    def fit(self, *, rotation_invariant: bool) -> float:
        """Return the work of a usual fit: steps by the cheaper direction, or products in the span of the rows."""
        flat = FLAT_PIECES if self.is_flat else 1.0
        if rotation_invariant and self.has_span:
            return flat * (self.span + SPAN_IN_PRODUCTS * self.bare_product)
        conjugate = self.conjugate if self.has_gram else UNCONDITIONED * self.conjugate
        return flat * (USUAL_STEPS_OF_TWO if self.C == 2 else USUAL_STEPS) * min(self.exact, conjugate)

    @property
    def is_apart(self) -> bool:
        """Whether classes do not touch one another, as those of one-versus-rest losses: no column is redundant."""
        return self.c == self.C

    @property
    def has_exact(self) -> bool:
        """Whether steps may take the whole Hessian."""
        return (self.D if self.is_apart else self.c * self.D) <= LARGEST_EXACT

    @property
    def is_flat(self) -> bool:
        """Whether steps go from one set of bent rows to the next, and gain little: the dual has no such sets.

        Where rows can be told apart, most pairs of a row and a class are at a margin near 1 in the end. Steps with
        the whole Hessian get there all the same, and are taken where there are few unknowns.
        """
        least = min(self.N, self.D)
        alone = self.is_apart and self.N > self.D
        large = least > FLAT_OF_TWO if alone or self.C == 2 else self.c * least > FLAT_OF_MANY
        return large and not self.curved and not self.is_crowded

    @property
    def is_crowded(self) -> bool:
        """Whether classes overlap unless they are really apart (Cover, 1965); with fewer rows some W parts them."""
        return CROWDED * (1 if self.C == 2 else self.C) * self.D < self.N * (self.C - 1)

    def lbfgs(self, n_configs: int = 1) -> float:
        """Return the work of usual fits by L-BFGS: a pass a step for all, and the metric once."""
        applied = 4.0 * self.D**2 * self.C if self.D <= LARGEST_METRIC else 0.0
        products = 4.0 * self.N * self.D * self.C + 2 * EXP * self.N * self.C + applied
        shared = TOGETHER if n_configs > 1 else 1.0
        passes = LBFGS_PASSES if self.is_crowded else LBFGS_PASSES_APART
        share = (SHARE_OF_MANY if self.C >= MANY_CLASSES else 1.0) * (FLAT_PIECES if self.is_flat else 1.0)
        work = share * passes * (n_configs * shared * products + LBFGS_CALLS * CALL)
        return work + metric_work(min(self.N, METRIC_ROWS), self.D)

    def prefers_newton(self) -> bool:
        """Return whether a usual fit with a plain ridge takes less work by Newton steps than by L-BFGS."""
        return self.fit(rotation_invariant=True) <= self.lbfgs()


def metric_work(n_rows: int, width: int) -> float:
    """Return the work of a metric: the second moment of rows and its factor, or their mean squares where many."""
    return n_rows * width**2 + width**3 / 3 if width <= LARGEST_METRIC else 2.0 * n_rows * width
