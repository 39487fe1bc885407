"""Settings from files and from the command line: bounded, plain, and every mistake in one message."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from vit import recipe as recipes
from vit.errors import UserError
from vit.recipe import Comparison, Recipe
from vit.recipe.values import flattened, parse_overrides, read_yaml

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
GOOD = "data: {image_size: 8}\nmodel: {name: resnet18}\nschedule: {epochs: 3}\n"
ODD = [  # values as the text of a file or of an override
    *("", "null", "true", "0", "-1", "1", "3.5", "-0.0", "1e400", "1.0e+400", ".inf", "-.inf", ".nan", "nan"),
    *("4294967296", "-4294967296", "1" + "0" * 18, "9" * 5000, "0x" + "f" * 5000, "0b_", "1_0", "16:9", "0o17"),
    *("2024-01-01", "2024-01-01 10:00:00", "x", "auto", "'x y'", '"\\0"', '"\\ud800"', '"\\udcff"', '"\\x1b[31m"'),
    *("[]", "{}", "[null]", "[a]", "[[a]]", "[8, 8]", "[8]", "[1, 2, 3]", "[-1, 0]", "[.nan, .nan, .nan]", "[true, 1]"),
    *("{a: 1}", "{1: 2}", "{null: 1}", "{a: {b: c}}", "{name: [a]}", "{name: null}", "[{affine: 0}]", "[{1: {}}]"),
    *("!foo x", "!!python/tuple [8, 8]", "!!python/object/apply:os.system [true]", "!!binary YQ==", "!!set {a, b}"),
    *(
        "&a [*a]",
        "*a",
        "@a",
        "%a",
        "a: b: c",
        "[",
        "{",
        "'",
        '"',
        "- a",
        "? a",
        "<<: 3",
        "{<<: {name: x}}",
        "---",
        "...",
    ),
    *("[" * 3000, "&a " * 50, "x" * 5000, "é", "雪", "\ufeff", "{a: 1, a: 2}", "!!str 3", "!!int x", "!!timestamp x"),
]


def outcome(load, *arguments: Any) -> Any:
    """Return what was loaded, or the message of its refusal; anything else that is raised is a fault."""
    try:
        return load(*arguments)
    except UserError as error:
        return str(error)


def places(values: Mapping[str, Any]) -> list[str]:
    """Return the dotted paths of a recipe's settings, its sections, and what it does not hold."""
    return [*values, *flattened(values), "augment.0", "model.options", "data.name.x", "unheard_of", "data.unheard_of"]


def mutated(names: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield recipes, dotted paths and values: every path with several values, every value at several paths."""
    draw = random.Random(0)
    for name in names:
        for key in places(read_yaml(recipes.find(name))):
            yield from ((name, key, value) for value in draw.sample(ODD, 8))


def test_every_odd_value_of_every_recipe_ends_in_a_recipe_or_a_message() -> None:
    kinds: set[str] = set()
    for name, key, text in mutated([name for name in recipes.shipped_names() if "compare" not in name]):
        found = outcome(
            lambda name, key, text: recipes.load_recipe(name, parse_overrides([f"{key}={text}"])), name, key, text
        )
        kinds.add(type(found).__name__)
        if isinstance(found, Recipe):
            assert recipes.parse(found.to_dict()) == found, (name, key, text)
        else:
            assert "\n" in found or "not understood" in found, (name, key, text, found)
            assert len(found) < 30_000
    assert kinds == {"Recipe", "str"}


@pytest.mark.parametrize(
    "key", ["recipes", "seeds", "fractions", "protocol", "trials", "overrides", "overrides.data", "x"]
)
def test_every_odd_value_of_a_comparison_ends_in_one_or_a_message(key: str) -> None:
    for text in ODD:
        found = outcome(
            lambda text: recipes.load_comparison("compare_digits", parse_overrides([f"{key}={text}"])), text
        )
        assert isinstance(found, Comparison | str), text


@pytest.mark.parametrize("seed", range(4))
def test_a_file_of_odd_values_ends_in_values_or_a_message(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    path = tmp_path / "recipe.yaml"
    for _ in range(100):
        text = list(GOOD)
        for _ in range(draw.randint(1, 3)):
            place = draw.randrange(len(text))
            text[place : place + draw.randint(0, 6)] = draw.choice(ODD)
        path.write_text("".join(text), encoding="utf-8", errors="surrogatepass")
        found = outcome(recipes.load_recipe, path, {})
        assert isinstance(found, Recipe | str)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (LAUGHS.encode(), "a3.1: more than 2,000 values, those that aliases repeat counted each time"),
        (b"data: " + b"[" * 20_000 + b"]" * 20_000, "more than 20 sections or lists inside of each other"),
        (b"data: &a {x: *a}", r"data.x: \*a stands inside of itself"),
        (b"x: 1\n" * 30_000, "larger than 100 kB: no recipe"),
        (b"", "holds no sections"),
        (b"- 1", "holds no sections"),
        (GOOD.encode("utf-16"), "no text in UTF-8 .* save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", "no text in UTF-8"),
        (b"data: a\0b", "special characters are not allowed"),
        (b"a: 1\n---\nb: 2\n", "expected a single document"),
    ],
)
def test_a_file_without_bounds_or_text_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=told):
        read_yaml(path)


def test_all_that_yaml_should_not_hold_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        'data:\n  name: !!python/name:os.system x\n  path: "a\\0b"\n  1: x\nmodel: !foo {name: a, name: b}\n'
        f"training: {{seed: {'9' * 30}}}\n"
    )
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    assert str(caught.value).splitlines() == [
        "r.yaml: 6 mistakes",
        "  data.name: the tag !!python/name:os.system is not read; write the value without it (line 2)",
        r"  data.path: 'a\x00b' holds characters that no text or file name has (line 3)",
        "  data: the key 1 is no text; allowed: names of settings (line 2)".replace("(line 2)", "(line 4)"),
        "  model: given twice: name (line 5)",
        "  model: the tag !foo is not read; write the value without it (line 5)",
        f"  training.seed: '{'9' * 30}' is too large a number, or none (line 6)",
    ]


def test_dates_and_base_sixty_are_text_and_merged_keys_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "\ufeffa: &a {x: 1, y: 16:9}\nb: {<<: *a, x: 2}\nc: {<<: *a}\nd: 2024-01-01\ne: =\n", encoding="utf-8"
    )
    merged = {"a": {"x": 1, "y": "16:9"}, "b": {"x": 2, "y": "16:9"}, "c": {"x": 1, "y": "16:9"}}
    assert read_yaml(path) == merged | {"d": "2024-01-01", "e": "="}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("photos #1", "photos #1"),
        ("#1", "#1"),
        ("@home", "@home"),
        ("a: b: c", "a: b: c"),
        ("2024-01-01", "2024-01-01"),
        ("caf\udce9", "caf\udce9"),
        ("", None),
        ("[8, 16]", [8, 16]),
    ],
)
def test_a_value_of_the_command_line_is_all_of_its_text(text: str, value: Any) -> None:
    assert parse_overrides([f"data.path={text}"]) == {"data.path": value}


def test_all_wrong_overrides_are_told_at_once() -> None:
    with pytest.raises(UserError, match=r"not understood: =3, a\.\.b=1, x; an override is KEY=VALUE"):
        parse_overrides(["=3", "a=1", "a..b=1", "x"])
    with pytest.raises(UserError) as caught:
        parse_overrides(["a=[1", "b=!f 3", "data=3", "data.path=x"])
    assert [line.split(": ")[0].strip() for line in str(caught.value).splitlines()] == [
        *("settings", "a", "b", "data=3 and data.path contradict each other")
    ]


def test_bytes_of_a_file_name_survive_the_recipe(tmp_path: Path) -> None:
    recipe = recipes.load_recipe("digits_vit", parse_overrides(["data.name=folder", "data.path=caf\udce9"]))
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    assert recipes.load_recipe(path, {}) == recipe


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("data.name=[a]", "data.name: should be a valid string, given ['a']"),
        ("data=3", "data is a section; its keys stand below it, given 3"),
        ("data.image_size=1000000000", "data.image_size.0: should be less than or equal to 16384, given 1000000000"),
        ("data.image_size=-4", "data.image_size.0: should be greater than 0, given -4"),
        ("data.image_size=true", "data.image_size.0: should be a number, given True"),
        ("data.path=''", "data.path: is empty"),
        ("augment=[null]", "augment.0: should be a name, or a name with its options, given None"),
        ("augment=[{affine: 0}]", "augment.0: should be a valid dictionary, given 0"),
        ("augment=[{affine: {degrees: .nan}}]", "augment.0.affine.degrees: should be a finite number, given nan"),
        ("training.seed=4294967296", "training.seed: should be less than 4294967296, given 4294967296"),
        ("optimizer.lr=1e400", "optimizer.lr: should be a finite number, given '1e400'"),
        ("optimizer.lr=.nan", "optimizer.lr: should be a finite number, given nan"),
        ("schedule.epochs=true", "schedule.epochs: should be a number, given True"),
        ("model.mlp_ratio=.inf", "model.mlp_ratio: should be a finite number, given inf"),
        ("model.depth=true", "model.depth: should be a number, given True"),
        ("schedule.epochs=" + "x" * 200, "schedule.epochs: should be a valid integer, given '" + "x" * 99 + "..."),
    ],
)
def test_an_odd_value_is_told_with_its_path(setting: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        recipes.load_recipe("digits_vit", parse_overrides([setting]))
    assert told in [line.strip() for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("recipes: 3", "recipes: should be a valid list, given 3"),
        ("recipes: [a]\nseeds: 1000000000", "seeds: should be less than or equal to 1000000, given 1000000000"),
        (
            "recipes: [a, b]\nseeds: 10000",
            "2 recipes, 10,000 seeds and 1 fractions are 20,000 trainings; allowed: 10,000",
        ),
        ("recipes: [a]\nfractions: [.nan]", "fractions.0: should be a finite number, given nan"),
        ("recipes: [a]\nfractions: [0.5, 1, 0.50000001]", "fractions: 0.5 is given twice, to six digits"),
        ("recipes: [a]\noverrides: [x]", "overrides: should be a valid dictionary, given ['x']"),
    ],
)
def test_an_odd_comparison_is_told_with_its_path(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        recipes.load_comparison(path, {})
    assert told in [line.strip() for line in str(caught.value).splitlines()]


def test_sections_of_overrides_change_their_keys_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"recipes": ["digits_vit"], "overrides": {"optimizer": {"lr": 0.1}}}))
    comparison = recipes.load_comparison(path, {"overrides.schedule.epochs": 4})
    assert comparison.overrides == {"optimizer.lr": 0.1, "schedule.epochs": 4}


def test_a_name_longer_than_any_file_may_have_is_no_recipe() -> None:
    with pytest.raises(UserError, match="neither a file nor a shipped recipe"):
        recipes.find("a" * 5_000)
