"""Nothing that is published gives a small count away: an attacker, what else must be hidden, and a last look.

In: a tidy table and its study, or a folder that is to be published. Out: the interval in which each hidden count must
lie; the table with further rows hidden; or an error that names the file. Never: a folder that was not read to its end.
"""

from __future__ import annotations

from .outputs import check_outputs
from .published import Attack, attack, secure

__all__ = ["Attack", "attack", "check_outputs", "secure"]
