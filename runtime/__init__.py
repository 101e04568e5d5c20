# SPDX-License-Identifier: Apache-2.0
"""One call over all engines, their reports, and the outside programs behind them."""
