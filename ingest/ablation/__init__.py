"""Ablation: what a model predicts without one of its heads, beside what it predicts with all."""
