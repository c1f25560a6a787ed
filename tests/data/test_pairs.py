import pytest

from qkv.data.pairs import Link, Pair, token_links


def test_equally_many_tokens_are_linked_one_to_one_in_order():
    assert token_links([Link((0, 4), (5, 9))], [(0, 2), (2, 4)], [(0, 4), (5, 7), (7, 9)]) == {(0, 1), (1, 2)}


def test_unequally_many_tokens_are_linked_each_with_each():
    assert token_links([Link((0, 6), (0, 8))], [(0, 6)], [(0, 3), (4, 5), (5, 8)]) == {(0, 0), (0, 1), (0, 2)}


def test_a_token_that_shares_one_character_is_covered_and_a_neighbour_is_not():
    # "בMarch" is one token in Hebrew script: the link covers "March" alone
    assert token_links([Link((3, 8), (1, 6))], [(0, 3), (3, 8), (8, 9)], [(0, 6), (6, 7)]) == {(1, 0)}


def test_a_token_over_several_digit_links_is_linked_once():
    digits = [Link((i, i + 1), (i, i + 1)) for i in range(4)]
    assert token_links(digits, [(0, 4)], [(0, 4)]) == {(0, 0)}
    assert token_links(digits, [(0, 4)], [(0, 2), (2, 4)]) == {(0, 0), (0, 1)}


def test_uncovered_and_empty_tokens_get_no_link():
    assert token_links([Link((0, 3), (0, 3))], [(1, 1), (4, 5)], [(0, 3)]) == set()
    assert token_links([], [(0, 1)], [(0, 1)]) == set()


def test_a_pair_without_alignment_says_so_and_cannot_change():
    pair = Pair("a", "b")
    assert pair.links is None
    with pytest.raises(AttributeError):
        pair.source = "c"  # pyright: ignore[reportAttributeAccessIssue]
