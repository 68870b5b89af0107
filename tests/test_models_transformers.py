"""Attention written out against torch's own, the lecture's form and its mistakes, and deit against timm's."""

import copy

import pytest
import torch
from choices import count, make, net
from torch import nn

from cockpit.nets.encoder_block import EncoderBlock, LectureBlock, LectureMultiHead, MultiHead
from cockpit.nets.vit import Shape

SHAPE = Shape(patch=4, dim=12, depth=1, heads=3, mlp_ratio=2, pool="token")


def causal(tokens: int) -> torch.Tensor:
    return torch.ones(tokens, tokens, dtype=torch.bool).tril()


def block(kind: type[EncoderBlock] = EncoderBlock, dropout: float = 0.0, **knobs: bool) -> EncoderBlock:
    torch.manual_seed(0)
    return kind(SHAPE, dropout, nn.ReLU, make("norm", "layer").build, **knobs)


@torch.no_grad()
def torchs(ours: EncoderBlock, dropout: float = 0.0) -> nn.TransformerEncoderLayer:
    """torch's layer with the same weights."""
    layer = nn.TransformerEncoderLayer(12, 3, 24, dropout, layer_norm_eps=1e-6, batch_first=True, norm_first=ours.norm_first)
    pairs = [
        (layer.self_attn.in_proj_weight, ours.attention.qkv.weight),
        (layer.self_attn.in_proj_bias, ours.attention.qkv.bias),
        (layer.self_attn.out_proj.weight, ours.attention.out.weight),
        (layer.self_attn.out_proj.bias, ours.attention.out.bias),
        (layer.linear1.weight, ours.fc1.weight),
        (layer.linear1.bias, ours.fc1.bias),
        (layer.linear2.weight, ours.fc2.weight),
        (layer.linear2.bias, ours.fc2.bias),
        (layer.norm1.weight, ours.norm1.norm.weight.normal_(1, 0.3)),
        (layer.norm2.weight, ours.norm2.norm.weight.normal_(1, 0.3)),
        (layer.norm1.bias, ours.norm1.norm.bias.normal_(0, 0.3)),
        (layer.norm2.bias, ours.norm2.norm.bias.normal_(0, 0.3)),
    ]
    for target, source in pairs:
        target.copy_(source)
    return layer


@pytest.mark.parametrize("masked", [False, True])
def test_attention_equals_torchs(masked: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = MultiHead(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    x = torch.randn(2, 5, 12)
    may = causal(5) if masked else None
    expected, _ = theirs(x, x, x, attn_mask=None if may is None else ~may)  # torch marks what may not be seen
    torch.testing.assert_close(ours(x, may), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
def test_block_equals_torchs(norm_first: bool, masked: bool) -> None:
    ours = block(norm_first=norm_first)
    theirs, x = torchs(ours), torch.randn(2, 5, 12)
    may = causal(5) if masked else None
    expected = theirs(x, src_mask=None if may is None else ~may)
    torch.testing.assert_close(ours(x, may), expected, atol=1e-5, rtol=1e-5)


def test_dropout_stands_where_torchs_does() -> None:
    """Same places, so same mean and deviation over many draws; with one of the four left out, 0.18 lie between them."""
    ours = block(dropout=0.5).double()
    theirs, x = torchs(ours, 0.5).double(), torch.randn(1, 5, 12, dtype=torch.float64).expand(8_000, -1, -1)
    with torch.no_grad():
        seen, expected = ours(x), theirs(x)
    torch.testing.assert_close(seen.mean(0), expected.mean(0), atol=0.04, rtol=0)
    torch.testing.assert_close(seen.std(0), expected.std(0), atol=0.04, rtol=0)


def test_the_lectures_attention_is_another_function() -> None:
    torch.manual_seed(0)
    right = MultiHead(12, 3)
    printed = LectureMultiHead(12, 3)
    printed.load_state_dict(right.state_dict())
    x = torch.randn(2, 5, 12)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(right(x[:, order]), right(x)[:, order])
    assert not torch.allclose(printed(x[:, order]), printed(x)[:, order], atol=1e-2)
    assert (printed(x) - right(x)).abs().max() > 0.1
    one = MultiHead(12, 1), LectureMultiHead(12, 1)
    one[1].load_state_dict(one[0].state_dict())
    torch.testing.assert_close(one[0](x), one[1](x))  # with one head there is nothing to swap


def test_the_lectures_mask_overflows_in_half_precision() -> None:
    x, may = torch.randn(2, 5, 12, dtype=torch.float16), causal(5)
    assert MultiHead(12, 3).half()(x, may).isfinite().all()
    with pytest.raises(RuntimeError, match="overflow"):
        LectureMultiHead(12, 3).half()(x, may)


def test_the_lectures_block_shares_a_norm_and_forgets_what_it_is_given() -> None:
    printed, x = block(LectureBlock, dropout=0.5).eval(), torch.randn(2, 5, 12)
    assert printed.norm1 is printed.norm2
    assert printed.fc1.out_features == 12  # mlp_ratio 2 says 24
    assert printed.attention.dropout == 0
    torch.testing.assert_close(printed(x, causal(5)), printed(x))
    right = block().eval()
    assert not torch.allclose(right(x, causal(5)), right(x), atol=1e-2)


def test_the_model_takes_both_forms() -> None:
    fixed, lecture = (net("attention_block", form=form, depth=3, dropout=0.2) for form in ("fixed", "lecture"))
    assert [type(layer) for layer in fixed.blocks] == [EncoderBlock] * 3
    assert [type(layer) for layer in lecture.blocks] == [LectureBlock] * 3
    assert all(layer.norm_first for layer in net("attention_block", norm_first=True).blocks)
    assert lecture(torch.randn(2, 1, 8, 8)).shape == (2, 10)


def test_deit_is_a_vit_with_one_more_token_position_and_head() -> None:
    vit, deit = net("vit", 3, 32, classes=7), net("deit", 3, 32, classes=7)
    assert count(deit) - count(vit) == 2 * 96 + 96 * 7 + 7


@torch.no_grad()
def test_deit_equals_timms() -> None:
    from timm.models.deit import VisionTransformerDistilled

    torch.manual_seed(0)
    ours = net("deit", 3, 16, dim=24, depth=2, heads=3, init="glorot_normal")
    theirs = VisionTransformerDistilled(16, 4, 3, 10, embed_dim=24, depth=2, num_heads=3)
    rows = [(theirs.patch_embed.proj, ours.patches), (theirs.norm, ours.norm.norm)]
    rows += [(theirs.head, ours.head), (theirs.head_dist, ours.distilled_head)]
    for left, right in zip(theirs.blocks, ours.blocks, strict=True):
        rows += [(left.norm1, right.norm1.norm), (left.norm2, right.norm2.norm), (left.mlp.fc1, right.fc1)]
        rows += [(left.attn.qkv, right.attention.qkv), (left.attn.proj, right.attention.out), (left.mlp.fc2, right.fc2)]
    for target, source in rows:
        target.load_state_dict(source.state_dict())
    theirs.cls_token.copy_(ours.token[:, :1])
    theirs.dist_token.copy_(ours.token[:, 1:])
    theirs.pos_embed.copy_(ours.position)
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.train()(x), theirs.train()(x), atol=1e-5, rtol=1e-5)
    theirs.set_distilled_training(True)
    ours.taught = True
    own, learned = theirs(x)
    torch.testing.assert_close(ours(x), own, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.distilled, learned, atol=1e-5, rtol=1e-5)


def test_a_copy_of_a_deit_in_training_can_be_taken() -> None:
    network = net("deit")
    network.taught = True
    network(torch.randn(2, 1, 8, 8))
    assert network.distilled is not None and network.distilled.requires_grad
    twin = copy.deepcopy(network)
    assert twin.distilled is None and network.distilled is not None
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(twin.eval()(x), network.eval()(x))
