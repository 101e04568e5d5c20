# SPDX-License-Identifier: Apache-2.0
"""A right shift in steps that keeps what rounding needs."""

from amaranth import Signal, signed


class RoundingShift:
    """Arithmetic right shift in steps, remembering what was shifted out and what did not fit.

    ``guard`` is the highest bit shifted out, ``sticky`` says whether any lower one was set,
    ``over`` whether bits above the kept ones mattered; ``is_negative`` is the sign even then.
    """

    def __init__(self, value, guard, sticky, over, is_negative):
        self.value = value
        self.guard = guard
        self.sticky = sticky
        self.over = over
        self.is_negative = is_negative

    def by(self, m, amount, *, scale, width, name):
        """Combinational: shifted by ``amount * scale``, ``width`` bits kept."""
        value = self.value
        n_cases = min(1 << len(amount), len(value) // scale)
        out = RoundingShift(
            Signal(signed(width), name=f"{name}_value"),
            Signal(name=f"{name}_guard"),
            Signal(name=f"{name}_sticky"),
            Signal(name=f"{name}_over"),
            self.is_negative,
        )
        with m.Switch(amount):
            for case in range(n_cases):
                shift = case * scale
                kept = value >> shift
                outside = kept[width - 1 :]
                # Larger shifts than the value has bits do not occur.
                with m.Case(case) if case < n_cases - 1 else m.Default():
                    m.d.comb += [
                        out.value.eq(kept),
                        out.over.eq(self.over | (outside.any() & ~outside.all())),
                        out.guard.eq(value[shift - 1] if shift else self.guard),
                        out.sticky.eq(
                            self.sticky | self.guard | value[: shift - 1].any()
                            if shift
                            else self.sticky
                        ),
                    ]
        return out

    def registered(self, m, *, name):
        """The same, one cycle later."""
        out = RoundingShift(
            *(
                Signal.like(getattr(self, field), name=f"{name}_{field}", reset_less=True)
                for field in ("value", "guard", "sticky", "over", "is_negative")
            )
        )
        m.d.sync += [getattr(out, field).eq(getattr(self, field)) for field in vars(out)]
        return out
