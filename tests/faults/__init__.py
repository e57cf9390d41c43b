"""Faults on purpose: real servers under real load while something goes wrong, one module a kind of trouble.

Small sizes run with everything else; ``COFFER_FAULTS=full`` takes the full ones (`make faults`).
"""
