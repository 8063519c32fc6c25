"""The architectures of timm and torchvision that are exported and compared.

Each is the smallest published variant of its family. If even that has hundreds of megabytes of weights, its
`arguments` make it narrower or less deep: that changes no operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["convolutional", "transformer"]
Source = Literal["timm", "torchvision"]


@dataclass(frozen=True)
class Architecture:
    """A network without weights: `name` is known to `source`, and `family` is what the table calls it.

    `kind` is `transformer` for every network that mixes tokens, by attention or otherwise.
    """

    name: str
    family: str
    kind: Kind
    source: Source = "timm"
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name in tables and of folders; unique."""
        return self.name if self.source == "timm" else f"torchvision-{self.name}"


def _convolutional(name: str, family: str, source: Source = "timm", **arguments: Any) -> Architecture:
    return Architecture(name, family, "convolutional", source, arguments)


def _transformer(name: str, family: str, source: Source = "timm", **arguments: Any) -> Architecture:
    return Architecture(name, family, "transformer", source, arguments)


# A plain vision transformer with a tenth of the smallest weights.
_NARROW: dict[str, Any] = {"depth": 3, "embed_dim": 192, "num_heads": 3}

CONVOLUTIONAL: Sequence[Architecture] = (
    _convolutional("resnet18", "ResNet"),
    _convolutional("resnet18", "ResNet", "torchvision"),
    _convolutional("resnet26d", "ResNet-D"),
    _convolutional("resnext26ts", "ResNeXt"),
    _convolutional("wide_resnet50_2", "Wide ResNet", layers=(1, 1, 1, 1)),
    _convolutional("seresnext26t_32x4d", "SE-ResNeXt"),
    _convolutional("resnetv2_18", "ResNet v2"),
    _convolutional("resnetblur18", "ResNet, blurred pooling"),
    _convolutional("legacy_seresnet18", "SENet"),
    _convolutional("densenet121", "DenseNet"),
    _convolutional("vgg11_bn", "VGG", mlp_ratio=0.1),
    _convolutional("alexnet", "AlexNet", "torchvision"),
    _convolutional("squeezenet1_1", "SqueezeNet", "torchvision"),
    _convolutional("mobilenetv1_100", "MobileNet v1"),
    _convolutional("mobilenetv2_035", "MobileNet v2"),
    _convolutional("mobilenet_v2", "MobileNet v2", "torchvision"),
    _convolutional("mobilenetv3_small_050", "MobileNet v3"),
    _convolutional("mobilenet_v3_small", "MobileNet v3", "torchvision"),
    _convolutional("mobilenetv4_conv_small_050", "MobileNet v4"),
    _convolutional("efficientnet_b0", "EfficientNet"),
    _convolutional("tf_efficientnetv2_b0", "EfficientNet v2"),
    _convolutional("tf_efficientnet_lite0", "EfficientNet-Lite"),
    _convolutional("mnasnet_small", "MNASNet"),
    _convolutional("shufflenet_v2_x0_5", "ShuffleNet v2", "torchvision"),
    _convolutional("googlenet", "GoogLeNet", "torchvision", aux_logits=False, init_weights=True),
    _convolutional("inception_v3", "Inception v3"),
    _convolutional("inception_v4", "Inception v4"),
    _convolutional("convnext_atto", "ConvNeXt"),
    _convolutional("convnext_tiny", "ConvNeXt", "torchvision"),
    _convolutional("convnextv2_atto", "ConvNeXt v2"),
    _convolutional("focalnet_tiny_srf", "FocalNet"),
    _convolutional("poolformer_s12", "PoolFormer"),
    _convolutional("poolformerv2_s12", "PoolFormer v2"),
    _convolutional("regnetx_002", "RegNet X"),
    _convolutional("regnety_002", "RegNet Y"),
    _convolutional("regnet_y_400mf", "RegNet Y", "torchvision"),
    _convolutional("repvgg_a0", "RepVGG"),
    _convolutional("hrnet_w18_small", "HRNet"),
    _convolutional("dla46_c", "DLA"),
    _convolutional("dpn48b", "DPN"),
    _convolutional("res2net50_14w_8s", "Res2Net", layers=(1, 1, 1, 1)),
    _convolutional("resnest14d", "ResNeSt"),
    _convolutional("gcresnext26ts", "GCNet"),
    _convolutional("gernet_s", "GENet"),
    _convolutional("ghostnet_050", "GhostNet"),
    _convolutional("ghostnetv2_100", "GhostNet v2"),
    _convolutional("hardcorenas_a", "HardCoRe-NAS"),
    _convolutional("lcnet_035", "LCNet"),
    _convolutional("mixnet_s", "MixNet"),
    _convolutional("eca_nfnet_l0", "NFNet, ECA"),
    _convolutional("nf_regnet_b0", "NF-RegNet"),
    _convolutional("rexnet_100", "ReXNet"),
    _convolutional("selecsls42b", "SelecSLS"),
    _convolutional("skresnet18", "SKNet"),
    _convolutional("tinynet_e", "TinyNet"),
    _convolutional("xception41", "Xception"),
    _convolutional("ese_vovnet19b_slim_dw", "VoVNet"),
    _convolutional("cspresnet50", "CSPNet"),
    _convolutional("cs3darknet_focus_s", "CSP-Darknet, focus"),
    _convolutional("repghostnet_050", "RepGhost"),
    _convolutional("mobileone_s0", "MobileOne"),
    _convolutional("starnet_s050", "StarNet"),
    _convolutional("hgnetv2_b0", "HGNet v2"),
    _convolutional("inception_next_atto", "InceptionNeXt"),
    _convolutional("convmixer_1024_20_ks9_p14", "ConvMixer"),
    _convolutional("convformer_s18", "ConvFormer"),
    _convolutional("rdnet_tiny", "RDNet"),
    _convolutional("mambaout_femto", "MambaOut"),
    _convolutional("fasternet_t0", "FasterNet"),
    _convolutional("tresnet_m", "TResNet", layers=(1, 1, 2, 1)),
    _convolutional("mnasnet0_5", "MNASNet", "torchvision"),
)

TRANSFORMERS: Sequence[Architecture] = (
    _transformer("vit_tiny_patch16_224", "ViT"),
    _transformer(
        "VisionTransformer",
        "ViT",
        "torchvision",
        image_size=224,
        patch_size=16,
        num_layers=6,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
    ),
    _transformer("vit_base_patch16_gap_224", "ViT, average pooling", **_NARROW),
    _transformer("vit_medium_patch16_reg4_gap_256", "ViT, registers, average pooling", **_NARROW),
    _transformer("vit_small_patch14_reg4_dinov2", "DINOv2, registers", img_size=224, **_NARROW),
    _transformer("vit_small_patch16_dinov3", "DINOv3", **_NARROW),
    _transformer("vit_base_patch32_clip_224", "CLIP ViT", **_NARROW),
    _transformer("vit_base_patch16_siglip_224", "SigLIP, attention pooling", **_NARROW),
    _transformer("vit_relpos_small_patch16_224", "ViT, relative positions", **_NARROW),
    _transformer("vit_tiny_r_s16_p8_224", "ViT with a ResNet stem", depth=4),
    _transformer("deit_tiny_patch16_224", "DeiT"),
    _transformer("deit_tiny_distilled_patch16_224", "DeiT, distilled"),
    _transformer("deit3_small_patch16_224", "DeiT III", **_NARROW),
    _transformer("beit_base_patch16_224", "BEiT", **_NARROW),
    _transformer("beitv2_base_patch16_224", "BEiT v2", **_NARROW),
    _transformer("eva02_tiny_patch14_224", "EVA-02"),
    _transformer("eva_large_patch14_196", "EVA", **_NARROW),
    _transformer("cait_xxs24_224", "CaiT", depth=6),
    _transformer("pit_ti_224", "PiT"),
    _transformer("xcit_nano_12_p16_224", "XCiT"),
    _transformer("swin_tiny_patch4_window7_224", "Swin", depths=(2, 2, 2, 2)),
    _transformer("swin_t", "Swin", "torchvision"),
    _transformer("swinv2_tiny_window8_256", "Swin v2", depths=(2, 2, 2, 2)),
    _transformer("swin_v2_t", "Swin v2", "torchvision"),
    _transformer("twins_svt_small", "Twins SVT", depths=(2, 2, 2, 2)),
    _transformer("twins_pcpvt_small", "Twins PCPVT", depths=(1, 1, 2, 1)),
    _transformer("pvt_v2_b0", "PVT v2"),
    _transformer("levit_128s", "LeViT"),
    _transformer("levit_conv_128s", "LeViT, convolutional"),
    _transformer("mvitv2_tiny", "MViT v2"),
    _transformer("hiera_tiny_224", "Hiera", stages=(1, 2, 3, 2)),
    _transformer("davit_tiny", "DaViT", depths=(1, 1, 2, 1)),
    _transformer("caformer_s18", "CAFormer"),
    _transformer("mixer_s32_224", "MLP-Mixer"),
    _transformer("resmlp_12_224", "ResMLP"),
    _transformer("gmlp_ti16_224", "gMLP"),
    _transformer("crossvit_tiny_240", "CrossViT"),
    _transformer("coat_lite_tiny", "CoaT-Lite"),
    _transformer("coat_tiny", "CoaT"),
    _transformer("coatnet_pico_rw_224", "CoAtNet"),
    _transformer("maxvit_pico_rw_256", "MaxViT"),
    _transformer("maxvit_t", "MaxViT", "torchvision"),
    _transformer("nest_tiny", "NesT"),
    _transformer("visformer_tiny", "Visformer"),
    _transformer("tiny_vit_5m_224", "TinyViT"),
    _transformer("efficientformer_l1", "EfficientFormer"),
    _transformer("efficientformerv2_s0", "EfficientFormer v2"),
    _transformer("mobilevit_xxs", "MobileViT"),
    _transformer("mobilevitv2_050", "MobileViT v2"),
    _transformer("mobilenetv4_hybrid_medium_075", "MobileNet v4, hybrid"),
    _transformer("edgenext_xx_small", "EdgeNeXt"),
    _transformer("fastvit_t8", "FastViT"),
    _transformer("fastvit_sa12", "FastViT, attention"),
    _transformer("efficientvit_b0", "EfficientViT (MIT)"),
    _transformer("efficientvit_m0", "EfficientViT (MSRA)"),
    _transformer("resnet50_clip", "CLIP ResNet, attention pooling"),
    _transformer("gcvit_xxtiny", "GC ViT"),
    _transformer("convit_tiny", "ConViT", depth=6),
    _transformer("volo_d1_224", "VOLO"),
    _transformer("tnt_s_patch16_224", "TNT", depth=3),
    _transformer("repvit_m0_9", "RepViT"),
    _transformer("nextvit_small", "Next-ViT"),
    _transformer("sequencer2d_s", "Sequencer", layers=(1, 1, 1, 1)),
    _transformer("swiftformer_xs", "SwiftFormer"),
    _transformer("shvit_s1", "SHViT"),
    _transformer("botnet26t_256", "BoTNet"),
    _transformer("halonet26t", "HaloNet"),
)

ARCHITECTURES: Sequence[Architecture] = (*CONVOLUTIONAL, *TRANSFORMERS)
