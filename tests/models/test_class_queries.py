"""A query a class: what it computes, and what it learns where images have several labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from quarters import write_quarters
from torch import nn

import vit
from vit.errors import UserError
from vit.explanations.methods import METHODS, own_method
from vit.model import load
from vit.models.decoder import ClassQueries
from vit.models.interface import structure_of
from vit.models.vision_transformer import VisionTransformer

SMALL = {"patch_size": 4, "embed_dim": 48, "depth": 2, "num_heads": 4}
RECIPE = {
    "data.name": "csv",
    "data.image_size": 16,
    "data.validation_fraction": 0.1,
    "model.head": "queries",
    "model.depth": 2,
    "optimizer.lr": 2e-3,
    "schedule.epochs": 6,
    "schedule.warmup_epochs": 1,
    "training.batch_size": 32,
    "training.loss": "bce",
}


def head_of(classes: int) -> ClassQueries:
    head = ClassQueries(classes, 48, 4, 96, "gelu", nn.LayerNorm).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.3)
    return head


def test_what_it_computes_is_torch_s_attention_and_an_mlp() -> None:
    head, tokens = head_of(5), torch.randn(3, 17, 48)
    theirs = nn.MultiheadAttention(48, 4, batch_first=True).eval()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(head.attn.qkv.weight)
        theirs.in_proj_bias.copy_(head.attn.qkv.bias)
        theirs.out_proj.weight.copy_(head.attn.proj.weight)
        theirs.out_proj.bias.copy_(head.attn.proj.bias)
        queries = head.queries.expand(3, -1, -1)
        found, seen = theirs(head.norm1(queries), tokens, tokens)
        x = queries + found
        x = x + head.mlp(head.norm2(x))
        logits = (head.norm3(x) * head.weight).sum(-1) + head.bias
        assert torch.allclose(head(tokens), logits, atol=1e-5)
        assert torch.allclose(head.seen(tokens), seen, atol=1e-5)


def test_a_class_s_logit_is_of_its_own_query_alone() -> None:
    head, tokens = head_of(5), torch.randn(3, 17, 48)
    with torch.no_grad():
        before = head(tokens)
        head.queries[0, 2] += 1
        changed = (head(tokens) != before).any(0)
    assert changed.tolist() == [False, False, True, False, False]


@pytest.fixture(scope="module")
def of_quarters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[dict[str, int]]]:
    """A trained run on images of several labels, the folder of its images, and where the test images' colours are."""
    folder = tmp_path_factory.mktemp("queries")
    labels, places = write_quarters(folder / "images", train=400, test=60)
    run = vit.train("digits_vit", out=folder / "run", overrides=RECIPE | {"data.path": str(labels)})
    return run.path, folder / "images", places


def test_several_labels_an_image_are_learned_saved_and_answered_alike(of_quarters) -> None:
    run, images, places = of_quarters
    scores = vit.evaluate(run).scores
    assert scores["mean_average_precision"] > 0.95
    model = load(run)
    assert model.output == "sigmoid" and isinstance(model.module.head, ClassQueries)
    rows = model.predict([images / f"{400 + number}.png" for number in range(60)], top=4)
    said = [{name for name, p in zip(r["classes"], r["probabilities"], strict=True) if p > 0.5} for r in rows]
    exact = np.mean([found == set(there) for found, there in zip(said, places, strict=True)])
    assert exact == pytest.approx(scores["exact_match"])


def test_where_a_class_s_query_looks_can_be_seen(of_quarters) -> None:
    run, images, _ = of_quarters
    model = load(run)
    transform = model.preprocessing.transform()
    inputs = torch.stack([transform(Image.open(images / f"{400 + number}.png")) for number in range(4)])
    assert own_method(model.module, inputs) == "class_attention"
    classes = torch.tensor([0, 1, 2, 3])
    maps = METHODS["class_attention"].maps(model.module, inputs, classes, (4, 4))
    assert isinstance(model.module, VisionTransformer) and isinstance(model.module.head, ClassQueries)
    seen = model.module.head.seen(model.module.features(inputs))
    assert torch.allclose(maps.flatten(1), seen[range(4), range(4), 1:]), "the CLS token has no place"
    with pytest.raises(UserError, match="model.head=queries"):
        METHODS["class_attention"].maps(vit.create_model("vit", num_classes=4, **SMALL), inputs, classes, (4, 4))


def test_other_heads_give_way_only_by_leave(of_quarters, tmp_path: Path) -> None:
    run, _, _ = of_quarters
    again = {
        "data.path": str(run.parent / "images" / "labels.csv"),
        "model.head": "linear",
        "model.pretrained": str(run),
        "schedule.epochs": 2,
    }
    with pytest.raises(UserError, match="a head of another kind.*model.new_head=true"):
        vit.train("digits_vit", out=tmp_path / "no", overrides=RECIPE | again)
    assert vit.train("digits_vit", out=tmp_path / "yes", overrides=RECIPE | again | {"model.new_head": True})


def test_the_head_alone_learns_on_kept_features(of_quarters, tmp_path: Path) -> None:
    run, images, _ = of_quarters
    settings = RECIPE | {
        "data.path": str(images / "labels.csv"),
        "model.pretrained": str(run),
        "model.new_head": True,
        "tuning.trainable": "head",
        "schedule.epochs": 8,
    }
    tuned = vit.train("digits_vit", out=tmp_path / "run", overrides=settings)
    assert vit.evaluate(tuned.path).scores["mean_average_precision"] > 0.9


def test_other_runtimes_and_libraries(of_quarters, tmp_path: Path) -> None:
    run, images, _ = of_quarters
    with pytest.raises(UserError, match="head queries"):
        vit.export(run, to="timm", out=tmp_path / "timm")
    exported = load(vit.export(run, to="onnx", out=tmp_path / "onnx"))
    photo = images / "401.png"
    ours, theirs = (one.predict([photo], top=4)[0]["probabilities"] for one in (load(run), exported))
    assert np.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("options", [{"pool": "cls_dist"}, {"norm_after_pool": True}, {"representation_size": 8}])
def test_what_stands_before_a_linear_head_is_refused(options: dict) -> None:
    with pytest.raises(UserError, match="head queries sees all tokens"):
        vit.create_model("vit", num_classes=2, image_size=16, head="queries", **SMALL, **options)


def test_no_class_token_is_needed() -> None:
    module = vit.create_model("vit", num_classes=3, image_size=16, head="queries", class_token=False, **SMALL)
    assert module(torch.randn(2, 3, 16, 16)).shape == (2, 3)
    assert "head.queries" in structure_of(module).undecayed
