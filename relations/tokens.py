"""How mentions become tokens: the one place where training and extraction turn text into rows for the encoder.

``marked`` pairing gives each ordered pair a row of its own, with four marker tokens around the two mentions,
as in the paper. ``shared`` pairing inserts nothing, so that one row serves all mentions and pairs of a
sentence. A sentence longer than the encoder reads is seen through windows; a pair whose mentions fit into no
window is left out and counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from zsre.relations.errors import ModelError
from zsre.relations.examples import Mention
from zsre.relations.vectors import PairSentence

Pairing = Literal["marked", "shared"]
PAIRINGS: tuple[str, ...] = get_args(Pairing)
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """What an encoder expects around the tokens of a sentence.

    ``max_tokens`` counts everything in a row, special tokens included. ``markers`` are the ids that open and
    close the head and open and close the tail; they are only used by ``marked`` pairing.
    """

    pairing: Pairing
    max_tokens: int
    first_id: int
    last_id: int
    pad_id: int
    markers: tuple[int, int, int, int]

    @property
    def capacity(self) -> int:
        """Return how many tokens of the sentence itself fit into a row."""
        return self.max_tokens - 2 - (4 if self.pairing == "marked" else 0)


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One row for the encoder: token ids, mentions as token spans (end exclusive), and pairs of those mentions.

    ``pair_positions`` gives each pair's position in the flattened list of all pairs that were asked for.
    """

    ids: tuple[int, ...]
    mentions: tuple[Span, ...]
    pairs: tuple[tuple[int, int], ...]
    pair_positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TokenRows:
    """The rows of many sentences, in order, and what had to be left out of them."""

    rows: tuple[TokenRow, ...]
    too_long: int
    no_tokens: int
    cut_sentences: int


def read_tokenizer(text: str, file: str) -> Tokenizer:
    """Read a tokenizer from its JSON; raise ModelError, which names the file, if that can't be done."""
    with _blaming_the_tokenizer(f"{file}: its tokenizer is missing or damaged"):
        return Tokenizer.from_str(text)


def encoded(tokenizer: Tokenizer, texts: Sequence[str], frame: bool = True) -> list[Encoding]:
    """Return the tokens of texts, with the special ones around them if ``frame``; raise ModelError if it fails."""
    with _blaming_the_tokenizer("the model's tokenizer fails on a text"):
        return list(tokenizer.encode_batch(list(texts), add_special_tokens=frame))


@contextmanager
def _blaming_the_tokenizer(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # what tokenizers raises is a bare Exception, or where Rust panics not even that
        raise ModelError(f"{what} ({error}); export the model again") from error


def prepare_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """Switch off truncation and padding, and read special tokens that occur in a text as ordinary text."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def token_rows(sentences: Sequence[PairSentence], tokenizer: Tokenizer, settings: TokenSettings) -> TokenRows:
    """Turn sentences into rows; ``tokenizer`` has been through `prepare_tokenizer`."""
    encodings = encoded(tokenizer, [sentence.text for sentence in sentences], frame=False)
    rows: list[TokenRow] = []
    too_long = no_tokens = cut = position = 0
    marked = settings.pairing == "marked"
    build = _marked_rows if marked else _shared_rows
    for sentence, encoding in zip(sentences, encodings, strict=True):
        spans = mention_tokens(encoding.offsets, sentence.mentions)
        windows: dict[int, list[tuple[int, int, int]]] = {}
        for head, tail in sentence.pairs:
            head_span, tail_span = spans[head], spans[tail]
            if head_span is None or tail_span is None or (marked and _overlap(head_span, tail_span)):
                no_tokens += 1
            else:
                start = window_start(head_span, tail_span, len(encoding.ids), settings.capacity)
                if start is None:
                    too_long += 1
                else:
                    windows.setdefault(start, []).append((head, tail, position))
            position += 1
        cut += len(encoding.ids) > settings.capacity
        for start, pairs in windows.items():
            rows.extend(build(encoding.ids[start : start + settings.capacity], start, spans, pairs, settings))
    return TokenRows(tuple(rows), too_long, no_tokens, cut)


def mention_tokens(offsets: Sequence[Span], mentions: Sequence[Mention]) -> list[Span | None]:
    """Return, for each mention, the span of tokens that share a character with it, or None where there is none.

    ``offsets`` are the tokens' code points in the sentence, ascending.
    """
    starts, ends = [start for start, _ in offsets], [end for _, end in offsets]
    spans: list[Span | None] = []
    for mention in mentions:
        first, last = bisect_right(ends, mention.start), bisect_left(starts, mention.end)
        spans.append((first, last) if first < last else None)
    return spans


def window_start(head: Span, tail: Span, length: int, capacity: int) -> int | None:
    """Return where the window of ``capacity`` tokens begins that a pair is seen through, or None if none holds it.

    Windows lie half a window apart, so that the pairs of a sentence share few of them; a pair that only
    fits between two of these gets a window of its own, with the pair in its middle.
    """
    left, right = min(head[0], tail[0]), max(head[1], tail[1])
    if length <= capacity:
        return 0
    if right - left > capacity:
        return None
    last = length - capacity
    stride = max(1, capacity // 2)
    start = min(left // stride * stride, last)
    if right <= start + capacity:
        return start
    return min(max(0, left - (capacity - (right - left)) // 2), last)


def _shared_rows(
    ids: list[int],
    offset: int,
    spans: Sequence[Span | None],
    pairs: Sequence[tuple[int, int, int]],
    settings: TokenSettings,
) -> list[TokenRow]:
    used = sorted({index for head, tail, _ in pairs for index in (head, tail)})
    place = {index: row_index for row_index, index in enumerate(used)}
    shift = 1 - offset
    return [
        TokenRow(
            ids=(settings.first_id, *ids, settings.last_id),
            mentions=tuple(_shifted(spans[index], shift) for index in used),
            pairs=tuple((place[head], place[tail]) for head, tail, _ in pairs),
            pair_positions=tuple(position for _, _, position in pairs),
        )
    ]


def _marked_rows(
    ids: list[int],
    offset: int,
    spans: Sequence[Span | None],
    pairs: Sequence[tuple[int, int, int]],
    settings: TokenSettings,
) -> list[TokenRow]:
    rows = []
    head_open, head_close, tail_open, tail_close = settings.markers
    for head, tail, position in pairs:
        head_span, tail_span = _shifted(spans[head], -offset), _shifted(spans[tail], -offset)
        if head_span[0] < tail_span[0]:
            first, second = (head_span, head_open, head_close), (tail_span, tail_open, tail_close)
        else:
            first, second = (tail_span, tail_open, tail_close), (head_span, head_open, head_close)
        (start_1, end_1), open_1, close_1 = first
        (start_2, end_2), open_2, close_2 = second
        row = (
            [settings.first_id, *ids[:start_1], open_1, *ids[start_1:end_1], close_1]
            + [*ids[end_1:start_2], open_2, *ids[start_2:end_2], close_2]
            + [*ids[end_2:], settings.last_id]
        )
        moved_1, moved_2 = (start_1 + 2, end_1 + 2), (start_2 + 4, end_2 + 4)
        mentions = (moved_1, moved_2) if head_span[0] < tail_span[0] else (moved_2, moved_1)
        rows.append(TokenRow(tuple(row), mentions, ((0, 1),), (position,)))
    return rows


def _shifted(span: Span | None, shift: int) -> Span:
    assert span is not None
    return span[0] + shift, span[1] + shift


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


#: What widths are multiples of: from how many tokens on, and of what; ascending, the first from 0 on.
WidthSteps = tuple[tuple[int, int], ...]
EXACT_WIDTHS: Final[WidthSteps] = ((0, 1),)


@dataclass(frozen=True, slots=True)
class EncoderInputs:
    """The arrays that the exported graph reads: (S, T), (S, T), (M, 3) and (P, 2), all int64."""

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    mentions: NDArray[np.int64]
    pairs: NDArray[np.int64]


def encoder_inputs(
    rows: Sequence[TokenRow], pad_id: int, steps: WidthSteps = EXACT_WIDTHS, max_tokens: int | None = None
) -> EncoderInputs:
    """Pad rows to the `padded_width` of the longest and number their mentions and pairs through."""
    width = padded_width(max(len(row.ids) for row in rows), steps, max_tokens)
    input_ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(rows), width), dtype=np.int64)
    mentions: list[tuple[int, int, int]] = []
    pairs: list[tuple[int, int]] = []
    for index, row in enumerate(rows):
        input_ids[index, : len(row.ids)] = row.ids
        attention_mask[index, : len(row.ids)] = 1
        base = len(mentions)
        mentions.extend((index, start, end) for start, end in row.mentions)
        pairs.extend((base + head, base + tail) for head, tail in row.pairs)
    return EncoderInputs(
        input_ids,
        attention_mask,
        np.asarray(mentions, dtype=np.int64).reshape(-1, 3),
        np.asarray(pairs, dtype=np.int64).reshape(-1, 2),
    )


def padded_width(length: int, steps: WidthSteps, max_tokens: int | None) -> int:
    """Round a number of tokens up, but not beyond the ``max_tokens`` that an encoder has positions for.

    It is a matter of the length alone, so that a row has one width whatever it is encoded with.
    """
    multiple = next(multiple for least, multiple in reversed(steps) if length >= least)
    width = -(-length // multiple) * multiple
    return width if max_tokens is None else max(length, min(width, max_tokens))
