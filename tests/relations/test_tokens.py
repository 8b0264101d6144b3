from __future__ import annotations

import dataclasses
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from zsre.relations.examples import Mention
from zsre.relations.tokens import (
    Span,
    TokenRow,
    TokenSettings,
    WidthSteps,
    encoder_inputs,
    mention_tokens,
    prepare_tokenizer,
    token_rows,
    window_start,
)
from zsre.relations.vectors import PairSentence

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[unused1]", "[unused2]", "[unused3]", "[unused4]"]
PIECES = ["new", "york", "##er", "born", "in", "unused", "##1", "1", "sep", "[", "]", ".", "東", "京"]
LETTERS = [piece for letter in "abcdefghijklmnopqrstuvwxyz" for piece in (letter, f"##{letter}")]
PAD, UNKNOWN, FIRST, LAST, *MARKERS = range(len(SPECIAL))
SHARED = TokenSettings("shared", 64, FIRST, LAST, PAD, (MARKERS[0], MARKERS[1], MARKERS[2], MARKERS[3]))
MARKED = dataclasses.replace(SHARED, pairing="marked")
#: What a corpus may hold: pieces, accents, characters that are normalised away, special tokens, ideographs.
BITS = ["new", "yorker", "born", "Zoë", "東京", "x\u0301y", "\x00", "\u200d", "[SEP]", "[unused1]", " ", "  ", ".", "★"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return make_tokenizer()


def make_tokenizer() -> Tokenizer:
    pieces = list(dict.fromkeys(SPECIAL + PIECES + LETTERS))
    made = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return prepare_tokenizer(made)


TOKENIZER = make_tokenizer()


@st.composite
def sentences(draw: st.DrawFn) -> PairSentence:
    """Draw a sentence with mentions at any characters, the middle of a word included, and some of their pairs."""
    text = "".join(draw(st.lists(st.sampled_from(BITS), min_size=1, max_size=24)))
    places = st.integers(0, len(text))
    spans = draw(st.lists(st.tuples(places, places).filter(lambda span: span[0] < span[1]), max_size=6, unique=True))
    mentions = tuple(Mention(start, end) for start, end in spans)
    apart = [(h, t) for h, t in permutations(range(len(mentions)), 2) if not mentions[h].overlaps(mentions[t])]
    chosen = draw(st.lists(st.sampled_from(apart), unique=True)) if apart else []
    return PairSentence(text, mentions, tuple(chosen))


def touching(text: str, mention: Mention) -> list[int]:
    """Return the indices of the tokens that share a character with a mention, looked at one by one."""
    offsets = TOKENIZER.encode(text, add_special_tokens=False).offsets
    return [index for index, (start, end) in enumerate(offsets) if start < mention.end and mention.start < end]


def ids_of(text: str) -> list[int]:
    return list(TOKENIZER.encode(text, add_special_tokens=False).ids)


def all_pairs(given: list[PairSentence]) -> list[tuple[PairSentence, Mention, Mention]]:
    return [(each, each.mentions[head], each.mentions[tail]) for each in given for head, tail in each.pairs]


def by_position(rows: tuple[TokenRow, ...]) -> dict[int, tuple[TokenRow, Span, Span]]:
    """Return each pair's row with the token spans of its head and tail."""
    found = [
        (position, (row, row.mentions[head], row.mentions[tail]))
        for row in rows
        for position, (head, tail) in zip(row.pair_positions, row.pairs, strict=True)
    ]
    assert len({position for position, _ in found}) == len(found), "no pair is in two rows"
    return dict(found)


either = pytest.mark.parametrize("chosen", [SHARED, MARKED], ids=["shared", "marked"])
lengths = st.integers(8, 40)


@either
@given(given=st.lists(sentences(), max_size=4), most=lengths)
@settings(max_examples=60)
def test_a_mention_is_the_tokens_that_share_a_character_with_it(
    chosen: TokenSettings, given: list[PairSentence], most: int
) -> None:
    rows = token_rows(given, TOKENIZER, dataclasses.replace(chosen, max_tokens=most)).rows
    pairs = all_pairs(given)
    for position, (row, head_span, tail_span) in by_position(rows).items():
        sentence, head, tail = pairs[position]
        ids = ids_of(sentence.text)
        assert len(row.ids) <= most
        assert (row.ids[0], row.ids[-1]) == (FIRST, LAST)
        for mention, (start, end) in ((head, head_span), (tail, tail_span)):
            assert list(row.ids[start:end]) == [ids[index] for index in touching(sentence.text, mention)]


@either
@given(given=st.lists(sentences(), max_size=4), most=lengths)
@settings(max_examples=60)
def test_every_pair_is_in_one_row_or_counted_for_what_it_is(
    chosen: TokenSettings, given: list[PairSentence], most: int
) -> None:
    chosen = dataclasses.replace(chosen, max_tokens=most)
    found = token_rows(given, TOKENIZER, chosen)
    encoded = set(by_position(found.rows))
    tokenless, far = set(), set()
    for position, (sentence, head, tail) in enumerate(all_pairs(given)):
        one, other = touching(sentence.text, head), touching(sentence.text, tail)
        if not one or not other or (chosen.pairing == "marked" and set(one) & set(other)):
            tokenless.add(position)
        elif max(one + other) - min(one + other) + 1 > chosen.capacity:
            far.add(position)
    assert encoded == set(range(len(all_pairs(given)))) - tokenless - far
    assert (found.no_tokens, found.too_long) == (len(tokenless), len(far))
    assert found.cut_sentences == sum(len(ids_of(sentence.text)) > chosen.capacity for sentence in given)
    for row in found.rows:
        assert list(row.pair_positions) == sorted(row.pair_positions)


@given(given=st.lists(sentences(), max_size=4), most=lengths)
@settings(max_examples=60)
def test_a_marked_row_is_the_shared_row_with_four_markers(given: list[PairSentence], most: int) -> None:
    marked = by_position(token_rows(given, TOKENIZER, dataclasses.replace(MARKED, max_tokens=most)).rows)
    # Without markers there is room for four more tokens, so that the windows lie alike with four fewer.
    shared = by_position(token_rows(given, TOKENIZER, dataclasses.replace(SHARED, max_tokens=most - 4)).rows)
    pairs = all_pairs(given)
    for position, (row, head, tail) in marked.items():
        assert row.pairs == ((0, 1),)
        around = (head[0] - 1, head[1], tail[0] - 1, tail[1])
        assert tuple(row.ids[place] for place in around) == MARKED.markers
        plain = tuple(id for place, id in enumerate(row.ids) if place not in around)
        other_row, other_head, other_tail = shared[position]
        assert plain == other_row.ids
        assert (head < tail) == (other_head < other_tail) == (pairs[position][1].start < pairs[position][2].start)


@given(
    places=st.lists(st.integers(0, 30), min_size=4, max_size=4, unique=True),
    length=st.integers(31, 60),
    capacity=st.integers(1, 70),
)
def test_a_window_holds_both_mentions_or_none_can(places: list[int], length: int, capacity: int) -> None:
    a, b, c, d = sorted(places)
    start = window_start((c, d), (a, b), length, capacity)
    assert start == window_start((a, b), (c, d), length, capacity)
    if start is None:
        assert d - a > capacity
    else:
        assert start <= a and d <= start + capacity
        assert start == 0 or start + capacity <= length, "a window is never shorter than it could be"


def test_the_pairs_of_a_long_sentence_share_few_windows(tokenizer: Tokenizer) -> None:
    text = " ".join("a" * 200)
    mentions = tuple(Mention(start, start + 1) for start in range(0, len(text), 4))
    near = tuple((i, j) for i, j in permutations(range(len(mentions)), 2) if abs(i - j) < 8)
    found = token_rows([PairSentence(text, mentions, near)], tokenizer, SHARED)
    assert found.cut_sentences == 1
    assert sum(len(row.pairs) for row in found.rows) == len(near)
    assert len(found.rows) <= 6, "half a window apart, with none of its own for pairs this near"
    assert {len(row.ids) for row in found.rows} == {SHARED.max_tokens}


def test_a_pair_that_no_regular_window_holds_gets_one_around_it() -> None:
    assert window_start((9, 11), (23, 25), 100, 20) == 7, "in the middle: 16 of 20 tokens, 2 on either side"
    assert window_start((0, 2), (15, 17), 100, 20) == 0
    assert window_start((12, 13), (28, 29), 100, 20) == 10
    assert window_start((98, 99), (99, 100), 100, 20) == 80, "not beyond the end"


def test_special_tokens_in_a_corpus_are_ordinary_text(tokenizer: Tokenizer) -> None:
    text = "[SEP] [unused1] [CLS] in [PAD]"
    sentence = PairSentence(text, (Mention(6, 15), Mention(22, 24)), ((0, 1),))
    (row,) = token_rows([sentence], tokenizer, SHARED).rows
    assert not set(row.ids[1:-1]) & {PAD, FIRST, LAST, *MARKERS}
    pieces = [tokenizer.id_to_token(id) for id in row.ids[slice(*row.mentions[0])]]
    assert pieces == ["[", "unused", "##1", "]"]
    (marked,) = token_rows([sentence], tokenizer, MARKED).rows
    assert [marked.ids.count(marker) for marker in MARKERS] == [1, 1, 1, 1]


def test_a_mention_of_control_characters_has_no_tokens(tokenizer: Tokenizer) -> None:
    sentence = PairSentence("new \x00\u200d york", (Mention(0, 3), Mention(4, 6), Mention(7, 11)), ((0, 1), (2, 0)))
    found = token_rows([sentence], tokenizer, SHARED)
    assert (found.no_tokens, found.too_long) == (1, 0)
    (row,) = found.rows
    assert row.pair_positions == (1,)
    assert row.mentions == ((1, 2), (2, 3)), "a mention without a pair in the row is not in it"
    assert row.pairs == ((1, 0),)


def test_mentions_may_begin_and_end_within_a_token() -> None:
    offsets = [(0, 3), (4, 8), (8, 10), (12, 13)]
    mentions = [Mention(0, 3), Mention(2, 5), Mention(8, 9), Mention(10, 12), Mention(3, 4), Mention(0, 13)]
    assert mention_tokens(offsets, mentions) == [(0, 1), (0, 2), (2, 3), None, None, (0, 4)]


def test_no_sentences_and_no_pairs_make_no_rows(tokenizer: Tokenizer) -> None:
    assert token_rows([], tokenizer, SHARED).rows == ()
    assert (
        token_rows([PairSentence("new", (Mention(0, 3),), ()), PairSentence("", (), ())], tokenizer, SHARED).rows == ()
    )


def test_truncation_and_padding_of_a_tokenizer_are_switched_off() -> None:
    made = make_tokenizer()
    made.enable_truncation(2)
    made.enable_padding(length=9)
    assert len(prepare_tokenizer(made).encode("new york in new york", add_special_tokens=False).ids) == 5


def row(ids: int, mentions: tuple[Span, ...], pairs: tuple[tuple[int, int], ...]) -> TokenRow:
    return TokenRow(tuple(range(1, ids + 1)), mentions, pairs, tuple(range(len(pairs))))


def test_rows_are_padded_and_numbered_through() -> None:
    rows = [row(3, ((1, 2), (0, 1)), ((0, 1),)), row(5, ((2, 4), (1, 2), (4, 5)), ((2, 0), (0, 1)))]
    inputs = encoder_inputs(rows, pad_id=99)
    assert inputs.input_ids.tolist() == [[1, 2, 3, 99, 99], [1, 2, 3, 4, 5]]
    assert inputs.attention_mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert inputs.mentions.tolist() == [[0, 1, 2], [0, 0, 1], [1, 2, 4], [1, 1, 2], [1, 4, 5]]
    assert inputs.pairs.tolist() == [[0, 1], [4, 2], [2, 3]]
    assert {getattr(inputs, name).dtype for name in inputs.__slots__} == {np.dtype(np.int64)}


def test_rows_without_pairs_keep_their_shapes() -> None:
    inputs = encoder_inputs([row(2, (), ())], pad_id=0)
    assert (inputs.mentions.shape, inputs.pairs.shape) == ((0, 3), (0, 2))


@pytest.mark.parametrize(
    ("steps", "max_tokens", "width"),
    [
        (((0, 8),), None, 16),
        (((0, 8),), 12, 12),
        (((0, 8),), 64, 16),
        (((0, 1),), 12, 9),
        (((0, 1), (9, 4)), None, 12),
        (((0, 1), (10, 4)), None, 9),
        (((0, 1), (4, 4), (9, 8)), 64, 16),
    ],
)
def test_the_width_is_rounded_up_but_not_beyond_what_an_encoder_reads(
    steps: WidthSteps, max_tokens: int | None, width: int
) -> None:
    assert encoder_inputs([row(9, (), ())], 0, steps, max_tokens).input_ids.shape == (1, width)
