"""Lists of names that are none, or too long, or mean to be more than names."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile import Case

FORMULAS = ("=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0")
LIVE = ("![x](https:evil)", "<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "$\\LaTeX$", ":material/home:")


def cases() -> Iterator[Case]:
    for name, (file, data, says) in {
        "a list of names": ("names.txt", "cat\ndog\n", "2 names"),
        "names with a mark at the beginning": ("names.txt", "\ufeffcat\ndog", "2 names: cat"),
        "lines of Windows": ("names.csv", "0,cat\r\n1,dog\r\n", "2 names: cat, dog"),
        "names as JSON": ("names.json", '{"cat": 0, "dog": 1}', "2 names: cat, dog"),
        "formulas": ("names.txt", "\n".join(FORMULAS), "5 names"),
        "HTML, Markdown and LaTeX": ("names.txt", "\n".join(LIVE), "5 names"),
        "signs that turn the writing": ("names.txt", "\u202etac\n\u2066dog\x1b[31m", "2 names: tac, dog"),
        "a name of 60,000 characters": ("names.txt", "x" * 60_000 + "\ndog", "2 names"),
        "deep JSON in a line": ("names.txt", "cat\n" + "[" * 10**5, "2 names"),
        "numbers of thousands of digits": ("names.txt", "9" * 5000 + " cat\n" + "8" * 5000 + " dog", "2 names"),
    }.items():
        yield Case(name, file, data.encode(), says, read=True)
    for name, (file, data, says) in {
        "nothing": ("names.txt", b"", "no class names"),
        "blanks": ("names.txt", b"\n \n\t\n", "no class names"),
        "no text": ("names.txt", b"\xff\xfe\0\x80" * 99, "UTF-8"),
        "UTF-16": ("names.txt", "cat\ndog".encode("utf-16"), "UTF-8"),
        "200,001 names": ("names.txt", b"x\n" * 200_001, "200,000"),
        "17 MB": ("names.txt", b"x" * 17 * 2**20, "16 MB"),
        "deep JSON": ("names.json", b"[" * 10**6, "JSON"),
        "JSON that is no list": ("names.json", b'{"cat": [1]}', "JSON"),
        "a number beyond all": ("names.json", b'{"cat": 1000000000}', "between"),
        "a number of thousands of digits": ("names.json", b'{"cat": ' + b"9" * 5000 + b"}", "JSON"),
        "a key that is no number": ("names.json", b'{"x": "cat"}', "JSON"),
        "half a JSON": ("names.json", b'["cat", "do', "JSON"),
    }.items():
        yield Case(name, file, data, says)
