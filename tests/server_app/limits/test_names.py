"""Names in addresses, parameters and JSON: plain ones pass, everything that could be a path or worse does not."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest

from server_app.common.strict_json import MAX_NESTING, strict_json
from server_app.limits.names import check_path, check_query, is_plain_name
from training.errors import InputError


def field_refused(check: Callable[..., object], *arguments: object) -> str | None:
    with pytest.raises(InputError) as caught:
        check(*arguments)
    return caught.value.field


def test_what_people_call_a_case_and_ordinary_parameters_and_addresses_pass() -> None:
    for name in (
        "BraTS20_001", "W39_1998.09.19", "Müller, T1", "4: AX T1 POST", "a" * 200, "100% sure", "", "a..b", " t1 "
    ):  # fmt: skip
        assert is_plain_name(name), name
        check_query(f"image={quote(name, safe='')}".encode())
    check_query(b"image=a&tag=final&session_id=0b1c-2&output=json&limit_cases=3&client_id=user-xyz&check_sum=SHA256:0a")
    check_query(b"")
    for path in ("/", "/info/", "/cases/BraTS20_001/labels/v0001", "/maps/abc/et.nii.gz", "/a b"):
        check_path(quote(path).encode(), path)


def test_what_could_be_a_path_or_worse_is_refused_and_each_parameter_has_its_form() -> None:
    for name in (
        "../x", "a/b", "/etc/passwd", "..", ".", ".hidden", "..\\x", "a\\b", "C:x", "C:\\x", "\\\\host\\share", "x\0",
        "a\nb", "a\x7f", "a\u2028b", "\ufffd", "%2e%2e", "a%2fb", "a" * 201
    ):  # fmt: skip
        assert not is_plain_name(name), name
        for parameter in ("image", "id", "label"):
            query = f"tag=final&{parameter}={quote(name, safe='')}"
            assert field_refused(check_query, query.encode()) == parameter, name
    for query in (
        "tag=../x", "tag=a b", "tag=" + "x" * 33, "session_id=../x", "session_id=a.b", "base=%2Fetc", "output=a/b",
        "ending=../x", "check_sum=SHA256:xyz", "check_sum=a:b:c", "strategy=a%00b", "anything=a%00b", "anything=%ff"
    ):  # fmt: skip
        assert field_refused(check_query, query.encode()) == query.partition("=")[0], query


def test_an_address_is_limited_in_length_and_parameters_and_holds_no_path() -> None:
    for query in (b"a=" + b"x" * 9000, b"&".join(b"a=1" for _ in range(65))):
        assert field_refused(check_query, query) == "query"
    for raw, path in (
        ("/cases/../x", "/cases/../x"), ("/cases/%2e%2e/x", "/cases/../x"), ("/cases/..%2fx", "/cases/../x"),
        ("/cases/a%2fb", "/cases/a/b"), ("/cases/%252e%252e/x", "/cases/%2e%2e/x"), ("/cases/..%5cx", "/cases/..\\x"),
        ("/cases/a%00", "/cases/a\0"), ("/cases/%c0%ae%c0%ae/x", "/cases/\ufffd\ufffd\ufffd\ufffd/x"),
        ("/cases/C:%5cx", "/cases/C:\\x"), ("/./info/", "/./info/"), ("/cases/" + "a" * 2100, "/cases/" + "a" * 2100),
    ):  # fmt: skip
        assert field_refused(check_path, raw.encode(), path) == "path", raw


def test_a_parameter_that_is_given_twice_is_refused_whatever_its_values() -> None:
    for query in (b"image=a&image=b", b"image=a&tag=x&image=a", b"image&image=", b"%69mage=a&image=a"):
        assert field_refused(check_query, query) == "image"
    check_query(b"image=a&Image=b&id=a")


def test_json_is_read_up_to_a_depth_and_only_if_others_could_read_it() -> None:
    for text in (
        '{"a": 1, "a": 1}', '[{"a": {"b": 1, "c": 2, "b": 3}}]',
        "NaN", "[Infinity]", '{"a": -Infinity}', "1e999", '"\\ud800"', '{"\\udc00": 1}', "9" * 500, "", "{", "{'a': 1}"
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"\w"):
            strict_json(text)
    assert strict_json('{"a": [1, 2.5, null, true, "\\u00e4\\ud83d\\ude00"]}') == {"a": [1, 2.5, None, True, "ä😀"]}
    assert strict_json(b"[" * MAX_NESTING + b"]" * MAX_NESTING)
    for depth in (MAX_NESTING + 2, 100_000):
        for begin, end in (("[", "]"), ('{"a":', "}")):
            with pytest.raises(ValueError, match="deeper"):
                strict_json(begin * depth + "1" + end * depth)
