"""What a process that trains comes to import, imported once for all that are forked from it."""

import sklearn.datasets  # noqa: F401
import torch._dynamo
import torch.distributed.nn  # noqa: F401

import cockpit.engine.advice
import cockpit.engine.distributed_follow
import cockpit.host.flight  # noqa: F401
from cockpit.catalog import flags, toggles

for card in (*toggles().values(), *flags().values()):
    card.cls  # noqa: B018  (it imports the card)
