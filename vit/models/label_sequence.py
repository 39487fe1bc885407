"""A head that says labels one after another, each knowing those before: the Transformer's whole decoder.

Of one label an image every class is a path of words, from the root of a hierarchy to it; of several, an image's labels
are said in the order of their words, each once, until the end. B images, M tokens, D embed_dim, C classes, V words,
S sequences of L words.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from .attention import causal_mask, draw_maps
from .blocks import ActivationName
from .decoder import DecoderBlock

Path = tuple[int, ...]
BEAMS = 8
SURE = 1e-6  # no label is likelier than 1 less this, which has no logit


class LabelSequence(nn.Module):
    """Words one after another, by masked attention to those before and attention to an image's tokens.

    Tokens [B, M, D] -> logits [B, C]. With one label at most, they are the exact log-probabilities of all paths: words
    that lead nowhere have none. With several, they are the log-odds of each label's probability in the sequences that a
    beam looks at; `forced` learns them. Beyond Pix2Seq's and CNN-RNN's labels (Wang et al. 2016, arXiv:1604.04573), a
    word that was said, or comes before one that was, cannot follow.
    """

    before: Tensor  # [S, L] words that a step has heard; the first is the start
    allowed: Tensor  # [S, L, V + 1] which words may follow there
    steps: Tensor  # [C, L] places of a class's words in [S, L, V + 1], flat; one past the end where there is none

    def __init__(
        self,
        paths: Sequence[Path],
        most_labels: int,
        embed_dim: int,
        num_heads: int,
        hidden_dim: int,
        activation: ActivationName,
        norm: Callable[[int], nn.Module],
    ):
        super().__init__()
        if most_labels > 1 and any(len(path) > 1 for path in paths):
            raise ValueError(
                "label_paths of several labels an image are of one word each: the label's place in the order"
            )
        self.most_labels = most_labels
        self.end = 1 + max(word for path in paths for word in path)  # also the start
        before, allowed, steps = tables([tuple(path) for path in paths], self.end)
        self.register_buffer("before", before)
        self.register_buffer("allowed", allowed)
        self.register_buffer("steps", steps)
        length = before.shape[1] if most_labels == 1 else most_labels + 1
        self.words = nn.Embedding(self.end + 1, embed_dim)
        self.places = nn.Parameter(torch.zeros(length, embed_dim))
        self.block = DecoderBlock(embed_dim, num_heads, hidden_dim, activation, norm)
        self.norm = norm(embed_dim)
        self.out = nn.Linear(embed_dim, self.end + 1)
        nn.init.trunc_normal_(self.words.weight, std=0.02)
        nn.init.trunc_normal_(self.places, std=0.02)
        draw_maps(self.block)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        if self.most_labels > 1:
            return log_odds(self.marginals(tokens)[:, self.steps[:, 0]])
        words = self.before.expand(len(tokens), -1, -1)
        said = self.after(tokens, words).masked_fill(~self.allowed, -torch.inf).log_softmax(-1).flatten(1)
        none = said.new_zeros(len(said), 1)
        return torch.cat([said, none], dim=1)[:, self.steps].sum(-1)

    def after(self, tokens: Tensor, words: Tensor) -> Tensor:
        """Return scores of what follows every word of sequences [B, S, L]: [B, S, L, V + 1], in float32."""
        sequences, length = words.shape[1:]
        x = (self.words(words) + self.places[:length]).flatten(1, 2)  # [B, S L, D]
        of_one = causal_mask(length, device=x.device)
        mask = torch.block_diag(*[of_one] * sequences).bool() if sequences > 1 else of_one
        x = self.block(x, tokens, mask)
        return self.out(self.norm(x)).unflatten(1, (sequences, length)).float()

    def following(self, tokens: Tensor, words: Tensor) -> Tensor:
        """Return log-probabilities of what follows every word [B, S, L] of labels in order: [B, S, L, V + 1]."""
        number = torch.arange(self.end + 1, device=words.device)
        last = words.masked_fill(words == self.end, -1).unsqueeze(-1)  # -1: none yet
        return self.after(tokens, words).masked_fill(number <= last, -torch.inf).log_softmax(-1)

    def forced(self, tokens: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean negative log-likelihood of label sets [B, C], and logits [B, C], told the right words."""
        number = torch.arange(self.end, device=there.device)
        by_word = torch.zeros_like(there[:, : self.end], dtype=torch.bool)
        by_word[:, self.steps[:, 0]] = there > 0.5
        right = torch.where(by_word, number, self.end).sort(dim=1).values  # the labels' words, then ends
        right = torch.cat([right, right.new_full((len(right), 1), self.end)], dim=1)[:, : len(self.places)]
        heard = torch.cat([right.new_full((len(right), 1), self.end), right[:, :-1]], dim=1)
        said = self.following(tokens, heard.unsqueeze(1)).squeeze(1)  # [B, L, V + 1]
        counts = torch.arange(right.shape[1], device=right.device) <= by_word.sum(1, keepdim=True)
        chosen = said.gather(2, right.unsqueeze(2)).squeeze(2)
        likely = (said[..., :-1].exp() * counts.unsqueeze(2)).sum(1)
        return -(chosen.masked_fill(~counts, 0).sum(1)).mean(), log_odds(likely[:, self.steps[:, 0]])

    def marginals(self, tokens: Tensor) -> Tensor:
        """Return every word's probability in the sequences that a beam looks at, a lower bound of the whole: [B, V]."""
        found = tokens.new_zeros(len(tokens), self.end, dtype=torch.float32)
        for likely, following in self.search(tokens, BEAMS):
            found = found + (likely.unsqueeze(2) + following[..., :-1]).exp().sum(1)
        return found

    def search(self, tokens: Tensor, beams: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield, word after word, the likeliest open sequences' log-probabilities [B, S] and what follows them."""
        words = torch.full((len(tokens), 1, 1), self.end, device=tokens.device)
        likely = tokens.new_zeros(len(tokens), 1, dtype=torch.float32)
        for _ in self.places:
            following = self.following(tokens, words)[:, :, -1]  # [B, S, V + 1]
            yield likely, following
            every = (likely.unsqueeze(2) + following[..., :-1]).flatten(1)  # of the open ones
            likely, best = every.topk(min(beams, every.shape[1]))
            heard = words.gather(1, (best // self.end).unsqueeze(2).expand(-1, -1, words.shape[2]))
            words = torch.cat([heard, (best % self.end).unsqueeze(2)], dim=2)


def log_odds(probabilities: Tensor) -> Tensor:
    return probabilities.clamp(SURE, 1 - SURE).logit()


def tables(paths: Sequence[Path], end: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what every sequence hears, what may follow, and where each class is said (see LabelSequence)."""
    inner = {path[:depth] for path in paths for depth in range(len(path))}
    whole = [(*path, end) if path in inner else path for path in paths]  # a class around others ends there
    inner = sorted({path[:depth] for path in whole for depth in range(len(path))})
    ends = [one for one, following in pairwise([*inner, ()]) if following[: len(one)] != one or not following]
    length = 1 + max(map(len, ends))
    place = {path[:depth]: (number, depth) for number, path in enumerate(ends) for depth in range(len(path) + 1)}
    before = torch.tensor([[end, *path, *[end] * (length - 1 - len(path))] for path in ends])
    allowed = torch.zeros(len(ends), length, end + 1, dtype=torch.bool)
    for path in whole:
        for depth, word in enumerate(path):
            for number, sequence in enumerate(ends):
                if sequence[:depth] == path[:depth]:
                    allowed[number, depth, word] = True
    allowed |= ~allowed.any(-1, keepdim=True)  # where a sequence has ended, which nothing reads
    steps = torch.full((len(paths), length), allowed.numel())
    for number, path in enumerate(whole):
        for depth, word in enumerate(path):
            sequence, step = place[path[:depth]]
            steps[number, depth] = (sequence * length + step) * (end + 1) + word
    return before, allowed, steps


def words_of(paths: Sequence[Path] | None, num_classes: int) -> Sequence[Path]:
    """Return the words of every class, by default one of its own; raises ValueError for another number of paths."""
    if paths is not None and len(paths) != num_classes:
        raise ValueError(f"label_paths are of {len(paths)} classes, and the model has {num_classes}")
    return paths if paths is not None else [(number,) for number in range(num_classes)]
