"""What reads a question's tool and arguments off the device member's residual. numpy computes the same where it runs
(models/assistant/understanding/heads.py); there the names are the same."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

TOOLS, STATUSES, SWITCHES, LOOKS = 11, 4, 3, 4


class Heads(nn.Module):
    """whole: over the question, from the residual of its closing token, the mean of all, and LOOKS means that each
    weigh the tokens their own way. span: by token, from it, its neighbours and the whole: does the free text begin, or
    end, here?"""

    def __init__(self, width: int, hidden: int = 192, near: int = 96) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.look = nn.Linear(width, LOOKS)
        self.whole = nn.Linear((2 + LOOKS) * width, hidden)
        self.tool = nn.Linear(hidden, TOOLS)
        self.status = nn.Linear(hidden, STATUSES)
        self.switch = nn.Linear(hidden, SWITCHES)
        self.near = nn.Linear(3 * width, near)
        self.about = nn.Linear(hidden, near)
        self.span = nn.Linear(near, 2)
        self.drop = nn.Dropout(0.1)

    def forward(self, residual: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """residual: batch x tokens x width; mask: batch x tokens, true for the question and its closing token.
        Gives tool, status, switch and span: batch x 2 x tokens, -inf outside of the question."""
        seen = self.norm(residual) * mask[..., None]
        count = mask.sum(1, keepdim=True)
        last = seen[torch.arange(len(seen)), count[:, 0] - 1]
        looks = self.look(seen).masked_fill(~mask[..., None], -1e4).softmax(1)
        seen_by = torch.einsum("btl,btw->blw", looks, seen).flatten(1)
        whole = functional.silu(self.whole(self.drop(torch.cat((last, seen.sum(1) / count, seen_by), 1))))
        before = functional.pad(seen, (0, 0, 1, 0))[:, :-1]
        after = functional.pad(seen, (0, 0, 0, 1))[:, 1:]
        near = functional.silu(self.near(torch.cat((before, seen, after), 2)) + self.about(whole)[:, None])
        span = self.span(near).transpose(1, 2).masked_fill(~mask[:, None], -1e4)
        whole = self.drop(whole)
        return self.tool(whole), self.status(whole), self.switch(whole), span
