"""JSON as it is written: a value a line, and the rows of large tables on one."""

import json
from typing import Any

import pytest

from vit.files import MOST_LINES, json_text

PLAIN = [{}, [], {"a": []}, [[1], [2, {"b": None, "c": {}}]], {"ü\n": "ü", "1": [True, 1.5e-9]}, (1, 2), None, "x"]


@pytest.mark.parametrize("values", [*PLAIN, {1: 2, None: 3, False: 4}, [1] * MOST_LINES, ["x"] * (MOST_LINES + 1)])
def test_json_is_indented_as_pythons_own(values: Any) -> None:
    assert json_text(values) == json.dumps(values, indent=2) + "\n"


def test_many_numbers_stand_on_one_line() -> None:
    table = [list(range(MOST_LINES + 1)), [0.5] * (MOST_LINES + 1)]
    lines = json_text({"table": table}).splitlines()
    assert [line.strip(" ,") for line in lines[2:4]] == [json.dumps(row) for row in table]
    assert json.loads(json_text({"table": table})) == {"table": table}
