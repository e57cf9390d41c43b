"""A program like any other: it looks for its secrets in its environment, and has never heard of coffer."""

import os

for name in ("DATABASE_URL", "SESSION_KEY", "API_TOKEN"):
    print(f"  {name:<12}  {os.environ.get(name, '(none)')}")
