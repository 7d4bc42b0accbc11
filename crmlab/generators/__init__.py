"""Synthetic worlds: specifications that make tables, and the truth behind them."""
