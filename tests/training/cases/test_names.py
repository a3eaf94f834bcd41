from training.cases.names import slug


def test_slugs_are_safe_short_and_distinct():
    assert slug("W39_1998.09.19 Müller/T1") == "W39_1998-09-19-Muller-T1"
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("日本") != slug("中国")
    assert slug("日本").startswith("case-")
    long = [slug("x" * 100), slug("x" * 101)]
    assert long[0] != long[1]
    assert all(len(name) <= 64 for name in long)
