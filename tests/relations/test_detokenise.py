import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsre.relations.detokenise import detokenise, normalise_token

TOKENS = st.one_of(
    st.sampled_from(
        [*",.;:!?()[]{}%$#'\"-–—/", "''", "``", "-LRB-", "-RRB-", "'s", "n't", "’s", '"-', ".-", "&ndash;"]
    ),
    st.sampled_from([" ", "\n\n", "\xa0", ""]),
    st.text(min_size=1, max_size=6),
)


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("The men 's event ( 1998 ) , she said .", "The men's event (1998), she said."),
        ("They do n't know ; he 'll see : why ?", "They don't know; he'll see: why?"),
        ('He wrote " Hunky Dory " and " Low " .', 'He wrote "Hunky Dory" and "Low".'),
        ('It ended , he said . "', 'It ended, he said."'),
        ('the " Foo "- style film', 'the "Foo"-style film'),
        ("The Beatles ' album", "The Beatles' album"),
        ("Max ' album", "Max' album"),
        ("a ' new wave ' band", "a 'new wave' band"),
        ("ghana ' s lake volta", "ghana's lake volta"),
        ("-LRB- born 1950 -RRB- `` no ''", '(born 1950) "no"'),
        ("It cost $ 5 or £ 4 , 20 % more", "It cost $5 or £4, 20% more"),
        ("a two - year GPS / INS plan - ( old )", "a two-year GPS/INS plan - (old)"),
        ("from 1837 – 1887 in Paris – France", "from 1837–1887 in Paris – France"),
        ("4 August 1688 – 22 March 1727", "4 August 1688 – 22 March 1727"),
        ("the U.S .- based firm", "the U.S.-based firm"),
        ("1990 &ndash; 95 AT&T", "1990–95 AT&T"),
    ],
)
def test_writes_text_as_a_writer_would(tokens: str, text: str) -> None:
    assert detokenise(tokens.split()).text == text


def test_token_of_white_space_takes_up_nothing() -> None:
    result = detokenise(["Ann", "\n", "Lee", "."])
    assert result.text == "Ann Lee."
    assert (result.starts, result.ends) == ((0, 3, 4, 7), (3, 3, 7, 8))


def test_no_tokens_make_no_text() -> None:
    assert detokenise([]).text == ""


def test_offsets_count_code_points() -> None:
    result = detokenise(["𝔘𝔫𝔦", "café"])
    assert result.text[result.starts[1] : result.ends[1]] == "café"
    assert result.starts[1] == 4


@given(st.lists(TOKENS, max_size=30))
def test_every_token_is_where_its_offsets_say(tokens: list[str]) -> None:
    result = detokenise(tokens)
    end_before = 0
    for token, start, end in zip(tokens, result.starts, result.ends, strict=True):
        assert result.text[start:end] == normalise_token(token)
        assert result.text[end_before:start] in ("", " ")
        end_before = end
    assert end_before == len(result.text)
    assert result.text == result.text.strip()
