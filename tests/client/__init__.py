"""Tests of ``coffer.client``, a folder of its own so that its modules may be called like others."""
