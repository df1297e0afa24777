from __future__ import annotations

import pytest

from batchpost.likeliest import likeliest_encoding

LATIN = "txn_1;José;Müller;12,50\ntxn_2;Zoë;Åström;1\ntxn_3;François;Peña;3"
GERMAN = "txn_00000;Declined;1000,00;01.07.2025 0:0;müller0@example.de;01000\ntxn_1;Straße;ÜBER;Ö"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (LATIN, "cp1252"),
        (GERMAN, "cp1252"),
        ("txn_1;12 €;“quoted” – dash;L’Oréal", "cp1252"),  # noqa: RUF001 - meant
        ("JOSÉ;FRANÇOIS", "cp1252"),
        (LATIN, "mac_roman"),
        (GERMAN, "mac_roman"),
        (LATIN, "cp850"),
        (GERMAN, "cp850"),
        ("txn_1;Łukasz;Wójcik\ntxn_2;Małgorzata;Żaneta", "cp1250"),
        ("txn_1;Дмитрий\ntxn_2;Людмила", "cp1251"),
        ("txn_1;山田太郎\ntxn_2;鈴木さくら;カタカナ", "cp932"),
        ("txn_1;王小明\ntxn_2;李伟;张三", "gb18030"),
        ("txn_1;김철수\ntxn_2;이영희", "euc_kr"),
    ],
)
def test_the_likeliest_encoding_is_the_one_under_which_letters_stand_in_words(text: str, encoding: str) -> None:
    found = likeliest_encoding(text.encode(encoding))
    assert text.encode(encoding).decode(found) == text


def test_a_text_without_anything_beyond_ascii_has_none() -> None:
    assert likeliest_encoding(b"plain") == ""
