"""Fashion network: raw pictures in, logits out, and pictures that vary as garments do."""

import subprocess
import sys

import pytest
import torch

from noria.errors import UsageError
from noria.tasks import fashion_network
from noria.tasks.fashion_network import SHIFT, augment, build


@pytest.fixture
def pictures():
    return torch.randint(0, 256, (64, 28, 28), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def variants(picture):
    """Every picture that `augment` may make of one."""
    moves = range(-SHIFT, SHIFT + 1)
    padded = [torch.nn.functional.pad(way, [SHIFT] * 4) for way in (picture, picture.flip(-1))]
    return [way[SHIFT + y : SHIFT + y + 28, SHIFT + x : SHIFT + x + 28] for way in padded for y in moves for x in moves]


def test_raw_pictures_become_ten_logits_each(pictures):
    network = build({"width": 8}).eval()
    logits = network(pictures)
    assert logits.shape == (64, 10)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(network(pictures[:1]), logits[:1])


def test_grey_levels_enter_the_convolutions_normalised(pictures):
    seen = []
    network = build({"width": 8}).eval()
    network.body.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    network(pictures)
    expected = (pictures.double() / 255 - fashion_network.MEAN) / fashion_network.DEVIATION
    torch.testing.assert_close(seen[0].double(), expected[:, None], atol=1e-6, rtol=0)


def test_the_network_does_not_change_the_pictures(pictures):
    before = pictures.clone()
    build({"width": 8})(pictures)
    augment((pictures,), torch.Generator().manual_seed(1))
    assert torch.equal(pictures, before)


def test_width_sets_the_size():
    sizes = [sum(weight.numel() for weight in build({"width": width}).parameters()) for width in (8, 16)]
    assert sizes[1] > 3 * sizes[0]


def test_an_unknown_option_is_named():
    with pytest.raises(UsageError, match="unknown network options deepth: there are width"):
        build({"deepth": 3})


@pytest.mark.parametrize("options", [{"width": 0}, {"width": "wide"}, {"dropout": 1.5}])
def test_an_option_out_of_range_is_named(options):
    (name,) = options
    with pytest.raises(UsageError, match=f"network option {name} is"):
        build(options)


def test_each_picture_is_mirrored_and_moved_on_its_own(pictures):
    (varied,) = augment((pictures,), torch.Generator().manual_seed(4))
    assert varied.dtype == torch.uint8
    places = []
    for picture, changed in zip(pictures, varied, strict=True):
        found = [place for place, variant in enumerate(variants(picture)) if torch.equal(variant, changed)]
        assert len(found) == 1
        places += found
    half = (2 * SHIFT + 1) ** 2
    assert 16 < sum(place < half for place in places) < 48
    assert len({place % half for place in places}) > half // 2


def test_the_generator_alone_decides_how_pictures_vary(pictures):
    first = augment((pictures,), torch.Generator().manual_seed(4))[0]
    torch.rand(3)
    assert torch.equal(augment((pictures,), torch.Generator().manual_seed(4))[0], first)
    assert not torch.equal(augment((pictures,), torch.Generator().manual_seed(5))[0], first)


def test_torchvision_can_be_imported_before_and_after():
    program = (
        "from noria.tasks.vision import ensure_torchvision as ensure; first = ensure(); assert first is ensure(); "
        "import torchvision; assert torchvision is first; from torchvision.transforms import v2; "
        "from torchvision.models import resnet18; resnet18()"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
