"""The weights published by the authors and by OpenMMLab, and what does not show in their tensors.

Attention heads of 32 and of 64 channels have parameters of the same shapes, so weights trained with one load into a
network of the other without a complaint and score badly (issues 20 and 128 of the official release). This table knows
the head width of each published file. File names are given where the release's code, the Hugging Face Hub or users of
the file show them, MD5 and SHA-256 where users recorded them or the name holds the beginning of it.
"""
import hashlib
from dataclasses import dataclass
from pathlib import Path

IMAGE_HUB = 'hf://Sense-X/uniformer_image/'
VIDEO_HUB = 'hf://Sense-X/uniformer_video/'
MMACTION = 'https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1/'
MMPOSE = 'https://download.openmmlab.com/mmpose/v1/projects/uniformer/'
DRIVE = 'https://drive.google.com/file/d/{}/view'


@dataclass(frozen=True)
class Published:
    """One published file of weights.

    Attributes:
        task: ``'image'``, ``'video'``, ``'detection'``, ``'segmentation'`` or ``'pose'``.
        arch: Name of the arch; ``'xxs'`` and ``'xs'`` are the light models.
        head_dim: Channels of an attention head it was trained with.
        size: Side, or height and width, of the input it was trained or tested with, in pixels.
        data: What it was trained on, in this order; for dense tasks also the framework, schedule and attention.
        file: Name of the file; empty where unknown.
        frames: Frames of a clip, and stride between them (``16x4``) or sparse sampling.
        layer_scale: Whether it has a layer scale that its arch's name does not say.
        drive: Identifier on Google Drive.
        url, hub: Folder on the web or the Hugging Face Hub where ``file`` lies.
        md5: Of the file.
        sha256: The first digits of it, at least eight.
    """
    task: str
    arch: str
    head_dim: int
    size: int | tuple[int, int]
    data: str
    file: str = ''
    frames: str = ''
    layer_scale: bool = False
    drive: str = ''
    url: str = ''
    hub: str = ''
    md5: str = ''
    sha256: str = ''

    @property
    def where(self) -> str:
        """Where to get it: something :func:`mmuniformer.checkpoint.load` takes, else an address for a browser."""
        if self.hub or self.url:
            return (self.hub or self.url) + self.file
        return DRIVE.format(self.drive)

    def __str__(self) -> str:
        size = 'x'.join(map(str, self.size)) if isinstance(self.size, tuple) else self.size
        frames = f', {self.frames} frames' if self.frames else ''
        return f'{self.arch} with head_dim={self.head_dim}, {self.task}, {size} pixels{frames}, trained on {self.data}'


PUBLISHED = (
    # Lightweight models on ImageNet-1K
    Published('image', 'xxs', 28, 128, 'ImageNet-1K', 'uniformer_xxs_128_in1k.pth',
              drive='1Cr7uB5hUck1BHioEROWZjfLpYRwg4Zps'),
    Published('image', 'xxs', 28, 160, 'ImageNet-1K', 'uniformer_xxs_160_in1k.pth',
              drive='1CsXCzfVFPyM2mY8BA_1fO3q_VBngnF44'),
    Published('image', 'xxs', 28, 192, 'ImageNet-1K', 'uniformer_xxs_192_in1k.pth',
              drive='1CjrCEnZCk2aLrN7nVG8vFvu3FAUL4_Y_'),
    Published('image', 'xxs', 28, 224, 'ImageNet-1K', 'uniformer_xxs_224_in1k.pth',
              drive='1Cw9r_3c30N-esFI8RFYa6rQXJrr1rAHY'),
    Published('image', 'xs', 32, 192, 'ImageNet-1K', 'uniformer_xs_192_in1k.pth',
              drive='1Ce2Dk9-k_-sHt5dXp-gfNOEK37Jdcffv'),
    Published('image', 'xs', 32, 224, 'ImageNet-1K', 'uniformer_xs_224_in1k.pth',
              drive='1CwQ91fjuAu3Rhn3zV4vjAmQ8v36AfYPT'),
    # ImageNet-1K pretrained (224x224)
    Published('image', 'small', 64, 224, 'ImageNet-1K', 'uniformer_small_in1k.pth',
              drive='1-uepH3Q3BhTmWU6HK-sGAGQC_MpfIiPD', md5='f122ab0dde94b1d73ac00d2c5359a610', hub=IMAGE_HUB),
    Published('image', 'small_plus', 32, 224, 'ImageNet-1K', 'uniformer_small_plus_in1k.pth',
              drive='10IN5ULcjz0Ld_lDokkTGOSmRFXLzUkEs', md5='9a9e04132baa7c61b50611b636ed4bea'),
    Published('image', 'base', 64, 224, 'ImageNet-1K', 'uniformer_base_in1k.pth',
              drive='1-wT39QazTGELxgrQIu6J12D3qcla3hui', md5='5be77ad1f3506a9c3edcabcb71a1de6b', hub=IMAGE_HUB),
    Published('image', 'base', 64, 224, 'ImageNet-1K', 'uniformer_base_ls_in1k.pth',
              layer_scale=True, drive='10FnwzMVgGL8bPO3EMZ7oG4vDvqnPoBK5', md5='3491dddcda1babb9ea798bbbf6942a40'),
    Published('image', 'small_plus', 64, 224, 'ImageNet-1K', 'uniformer_small_plus_dim64_in1k.pth',
              drive='178ipRvMBKeAP_Fzy6fEr2HQkIQWdgEY6', md5='3a5aefe567d6e97149d60af91aa958da'),
    # ImageNet-1K pretrained with Token Labeling (224x224)
    Published('image', 'small', 32, 224, 'ImageNet-1K, token labeling', 'uniformer_small_tl_224.pth',
              drive='16wjfeyqQFZ2x9W91EXf0Py1bfv4Fydfr', md5='b2a33929f20a5bbde0d237cc03f1d4fc'),
    Published('image', 'small_plus', 32, 224, 'ImageNet-1K, token labeling', 'uniformer_small_plus_tl_224.pth',
              drive='16rgtEVEeX3jVTQaiLsojBQP5sRaj_2aZ', md5='83abb926261d1f0dbacaae239a53360c'),
    Published('image', 'base', 32, 224, 'ImageNet-1K, token labeling', 'uniformer_base_tl_224.pth',
              drive='16nsTjawiYZuoCHBRarr58zA7vCFcmQmL', md5='1ffe1f83a214b4e0173a0df6ba344fb3'),
    Published('image', 'large', 64, 224, 'ImageNet-1K, token labeling', 'uniformer_large_ls_tl_224.pth',
              drive='173e2qaJhOwbuC_DbNQSH47Oo_04mSfDj', md5='a26ef63a4ab2b1eaf59a106724666273'),
    Published('image', 'small', 64, 224, 'ImageNet-1K, token labeling', 'uniformer_small_dim64_tl_224.pth',
              drive='17NC5qqAWCT2gI_jY_cJnFTOqRQTSwsoz', md5='771bf024006256c8406892c6159d4384'),
    Published('image', 'small_plus', 64, 224, 'ImageNet-1K, token labeling', 'uniformer_small_plus_dim64_tl_224.pth',
              drive='17OfoDWt2_nA0BYN0OuLPpG8mHJDTluQQ', md5='723f198c629e2cd06630f380b3f68ec1'),
    Published('image', 'base', 64, 224, 'ImageNet-1K, token labeling', 'uniformer_base_dim64_tl_224.pth',
              drive='17MneG9CnZG6zBvXYUr4WUXoTYc4rjJj5', md5='a1c1abf5bcac177c16114229132b4327'),
    # Large resolution fine-tuning (384x384)
    Published('image', 'small', 32, 384, 'ImageNet-1K, token labeling', 'uniformer_small_tl_384.pth',
              drive='16p4CXzuXC5J4_SJK67dsvnc8gTKmtKN1', md5='c9cae5878b5837215a976e91021db95d'),
    Published('image', 'small_plus', 32, 384, 'ImageNet-1K, token labeling', 'uniformer_small_plus_tl_384.pth',
              drive='16wJT87vTc43Dt1q2sXrxZRUuEdrNdFdk', md5='e017ce278be2a05074c8d8b7c9d1a31a'),
    Published('image', 'base', 32, 384, 'ImageNet-1K, token labeling', 'uniformer_base_tl_384.pth',
              drive='16kZlIarIwf9ldkCdHVKTQfFmDgfkucQ7', md5='2dcee4dd928a22c296f79f1d41f6ffba'),
    Published('image', 'large', 64, 384, 'ImageNet-1K, token labeling', 'uniformer_large_ls_tl_384.pth',
              drive='174rcA6rNzYVG9Ya9ik-NwTGoxW1M79ez', md5='03a3bfc20f40d272d13a3e02909074e4'),
    # Kinetics-400
    Published('video', 'xxs', 28, 128, 'Kinetics-400',
              frames='4 sparse', drive='1EFBxDS2m4mpk_sYejnPuGSDRH_1ELDhx'),
    Published('video', 'xxs', 28, 160, 'Kinetics-400',
              frames='4 sparse', drive='1DtTFT7FZ_kUjxqXAYyWhfXSr_EIHQi8a'),
    Published('video', 'xxs', 28, 128, 'Kinetics-400',
              frames='8 sparse', drive='1E9VwV-XJQCmo9nBhxLxa9DdphZiIg38z'),
    Published('video', 'xxs', 28, 160, 'Kinetics-400',
              frames='8 sparse', drive='1Dxq82X8mBsfVOzij0HSeb1g4sdez71FM'),
    Published('video', 'xxs', 28, 128, 'Kinetics-400',
              frames='16 sparse', drive='1DngSOmw0rStnYZlaCnz1xII6CU2d2R_j'),
    Published('video', 'xxs', 28, 160, 'Kinetics-400',
              frames='16 sparse', drive='1DxqrNHb4h1ZKnEFaqbkKJAXQsyIFeD7b'),
    Published('video', 'xxs', 28, 160, 'Kinetics-400',
              frames='32 sparse', drive='1EIVXRYn5UIkLaJGDpTBxTcyog_dKbcZe'),
    Published('video', 'xs', 32, 192, 'Kinetics-400',
              frames='32 sparse', drive='1DtdX-keSB-RkH23KqtQH36IMOUmol1kw'),
    Published('video', 'small', 64, 224, 'Kinetics-400', 'uniformer_small_k400_8x8.pth',
              frames='8x8', drive='1-kitVTkWErHXI_x-sLItvK9-sOmb53j6'),
    Published('video', 'small', 64, 224, 'Kinetics-400', 'uniformer_small_k400_16x4.pth',
              frames='16x4', drive='1-jGZIIuTM5IYIpqkNTojhGhfMc7Gu9Kt', sha256='4829a6abe934a1c8'),
    Published('video', 'small', 64, 224, 'Kinetics-400', 'uniformer_small_k400_16x8.pth',
              frames='16x8', drive='174muWZJcZHieABDZMKiJ0tNeFLoEkJLx', hub=VIDEO_HUB),
    Published('video', 'base', 64, 224, 'Kinetics-400', 'uniformer_base_k400_8x8.pth',
              frames='8x8', drive='1hBxGU-QE8hGRBjSNCymJ7Au06LhluvTv'),
    Published('video', 'base', 64, 224, 'Kinetics-400', 'uniformer_base_k400_16x4.pth',
              frames='16x4', drive='15ipzFaZdTt-aHv7jcr_h_vgYD2X7D6AD'),
    Published('video', 'base', 64, 224, 'Kinetics-400',
              frames='16x8', drive='1VoZcpFZbk9lEyRQ7gqRgT4CsnVt9g7uk'),
    Published('video', 'base', 64, 224, 'Kinetics-400', 'uniformer_base_k400_32x4.pth',
              frames='32x4', drive='1gHxx8cr1H0CNvngj1kB9ArgcPfJtqjCV'),
    # Kinetics-600
    Published('video', 'small', 64, 224, 'Kinetics-600', 'uniformer_small_k600_16x4.pth',
              frames='16x4', drive='1-dqzjm5RZVspWHQLRD4S1vo4_6jyVltb'),
    Published('video', 'small', 64, 224, 'Kinetics-600', 'uniformer_small_k600_16x8.pth',
              frames='16x8', drive='1-c835NJjg_015WxLBQF-1cPdQsyWMWfY', hub=VIDEO_HUB),
    Published('video', 'base', 64, 224, 'Kinetics-600', 'uniformer_base_k600_16x4.pth',
              frames='16x4', drive='1nBQCBCsCflhZ4OGUoGB3pAkc_GDau7vd'),
    Published('video', 'base', 64, 224, 'Kinetics-600', 'uniformer_base_k600_16x8.pth',
              frames='16x8', drive='1aidHdSd-h65-_EUkfNOdMMw0ZB8G5maY'),
    Published('video', 'base', 64, 224, 'Kinetics-600', 'uniformer_base_k600_32x4.pth',
              frames='32x4', drive='1-DwdVf8w8lYj-iFpU40pfEpog9VE5PQB', hub=VIDEO_HUB),
    # Something-Something V1
    Published('video', 'small', 64, 224, 'Kinetics-400, Something-Something V1',
              frames='16 sparse', drive='1-bdFsmXt2Ztf43lrVgmqS8_VYJ8tub6J'),
    Published('video', 'small', 64, 224, 'Kinetics-600, Something-Something V1',
              frames='16 sparse', drive='1-YbYGjM15MDtQnrmCeZ9H2ybNdYTFkgO'),
    Published('video', 'small', 64, 224, 'Kinetics-400, Something-Something V1',
              frames='32 sparse', drive='1-Y5ADssqM2C8o_1jix48fQM788mVGWQ3'),
    Published('video', 'small', 64, 224, 'Kinetics-600, Something-Something V1',
              frames='32 sparse', drive='1-XEgaGqXGp1EGzFl63ctApnvU54X27WP'),
    Published('video', 'base', 64, 224, 'Kinetics-400, Something-Something V1',
              frames='16 sparse', drive='1uMq4W5lf17vOHUmccNjYLeTMqaWHSh6v'),
    Published('video', 'base', 64, 224, 'Kinetics-600, Something-Something V1',
              frames='16 sparse', drive='1xpiL8zEDWYHFR55gOsbQiI41YEjTD89J'),
    Published('video', 'base', 64, 224, 'Kinetics-400, Something-Something V1',
              frames='32 sparse', drive='18A3FuUUbdQ8ehMQ0D78qTTtm6YmIVWaO'),
    Published('video', 'base', 64, 224, 'Kinetics-600, Something-Something V1',
              frames='32 sparse', drive='1xE1aJYAYFOlXOkpiIbJFHu_jSrr8reKm'),
    # Something-Something V2
    Published('video', 'small', 64, 224, 'Kinetics-400, Something-Something V2',
              'uniformer_small_sthv2_16_prek400.pth',
              frames='16 sparse', drive='1-Wq22024HB7tT8kPX6eSMn2GUNMI-_gY', sha256='4f5df1bf569e7e0e'),
    Published('video', 'small', 64, 224, 'Kinetics-600, Something-Something V2',
              'uniformer_small_sthv2_16_prek600.pth',
              frames='16 sparse', drive='1-V1mQp4fIIYhaXUWCgZXkJ0H6ne0Z8rz'),
    Published('video', 'small', 64, 224, 'Kinetics-400, Something-Something V2',
              frames='32 sparse', drive='1-5Q5S-NRmHFkIBygaRYpJLT7aI9cpmky'),
    Published('video', 'small', 64, 224, 'Kinetics-600, Something-Something V2',
              frames='32 sparse', drive='1-1K5R3Ed4t8d_DZnJ62xysIt1dBNmx96'),
    Published('video', 'base', 64, 224, 'Kinetics-400, Something-Something V2', 'uniformer_base_sthv2_16_prek400.pth',
              frames='16 sparse', drive='1s78JBpnykyJ7pYEGRDK8BZL9seIRIUlC', sha256='b3091fbfd2b47845'),
    Published('video', 'base', 64, 224, 'Kinetics-600, Something-Something V2',
              frames='16 sparse', drive='16nCBGWzMM8n8Vr_EY0UmvgzLG0S_QYef'),
    Published('video', 'base', 64, 224, 'Kinetics-400, Something-Something V2', 'uniformer_base_sthv2_32_prek400.pth',
              frames='32 sparse', drive='1-rpMARXnyvyj6YUJkIvVqtna86egpjoS'),
    Published('video', 'base', 64, 224, 'Kinetics-600, Something-Something V2', 'uniformer_base_sthv2_32_prek600.pth',
              frames='32 sparse', drive='1-lkRB3546l_ECuObN_IrHws1C9a-qKPr', hub=VIDEO_HUB),
    # UCF101
    Published('video', 'small', 64, 224, 'Kinetics-400, UCF101',
              frames='16x4', drive='1Ey8JIGcP8G2H0bKxyNnD61lvHV1eerVt'),
    # HMDB51
    Published('video', 'small', 64, 224, 'Kinetics-400, HMDB51',
              frames='16x4', drive='1Es4xtcEvQSomnbp6Eo7TC3JejIwHf5yS'),
    # Mask R-CNN
    Published('detection', 'xxs', 28, (800, 1280), 'COCO, Mask R-CNN 1x',
              drive='1CUyS-hWbpLvOXHZ35n4BZPmiCbMXt0mc'),
    Published('detection', 'xs', 32, (800, 1280), 'COCO, Mask R-CNN 1x',
              drive='1CRHb-W5Csy_509J4Ux62TOT7dpixdsOi'),
    Published('detection', 'small', 64, (800, 1280), 'COCO, Mask R-CNN 1x, hybrid 14',
              drive='13KhBYkHKQg-CyhAgn1LQM1K0R4bwSpWT'),
    Published('detection', 'small', 64, (800, 1280), 'COCO, Mask R-CNN 3x+MS, hybrid 14',
              'mask_rcnn_3x_ms_hybrid_small.pth',
              drive='13O6P-spXbWuXgUjLw8AyRITYTwhdOwuD'),
    Published('detection', 'base', 64, (800, 1280), 'COCO, Mask R-CNN 1x, hybrid 14',
              drive='13YrVEiqFraSuX1NzdhPnhw7bFXTvEii1'),
    Published('detection', 'base', 64, (800, 1280), 'COCO, Mask R-CNN 3x+MS, hybrid 14',
              drive='12xyS2xqFSYMkHUiVYVGVW7gaLIxuK2q6'),
    # Cascade Mask R-CNN
    Published('detection', 'small', 64, (800, 1280), 'COCO, Cascade Mask R-CNN 3x+MS, hybrid 14',
              drive='13IhpRkh2hE8WfDyw-5-NXSUVZjn9DX20'),
    Published('detection', 'base', 64, (800, 1280), 'COCO, Cascade Mask R-CNN 3x+MS, hybrid 14',
              'cascade_mask_rcnn_3x_ms_hybrid_base.pth',
              drive='13G9wc73CmS1Kb-kVelFSDlK-ezUBadzQ'),
    # Semantic FPN
    Published('segmentation', 'xxs', 28, 512, 'ADE20K, Semantic FPN 80k',
              drive='1DPakdzr6G7n8t3_ZAFCx8wFX1r5h_V7-'),
    Published('segmentation', 'xs', 32, 512, 'ADE20K, Semantic FPN 80k',
              drive='1Dj3GiQLK7YZPKSgz_Uk8JL1J66XEvw0Y'),
    Published('segmentation', 'base', 64, 512, 'ADE20K, Semantic FPN 80k, hybrid 14',
              drive='14XokJDp1oYDV9jZnniMXyk3AnVfk1S1-'),
    Published('segmentation', 'small', 64, 512, 'ADE20K, Semantic FPN 80k, global', 'fpn_global_small.pth',
              drive='14bEsZqMw35tmDgrvYA_dRMsSC0Z4TX2Y'),
    Published('segmentation', 'base', 64, 512, 'ADE20K, Semantic FPN 80k, global',
              drive='14dLoIcAUWjyo1d5XXuo1yb2jcslt_t4P'),
    # UperNet
    Published('segmentation', 'small', 64, 512, 'ADE20K, UperNet 160k, global', 'upernet_global_small.pth',
              drive='13hOneJiFqwEneUz1Zpqo1W2uv7BsoXGF', hub='hf://Andy1621/uniformer/'),
    Published('segmentation', 'base', 64, 512, 'ADE20K, UperNet 160k, global', 'upernet_global_base.pth',
              drive='14bEgmFbTijBoTKTwny_aCJlARs6z31mP'),
    # Pose
    Published('pose', 'small', 64, (256, 192), 'COCO, top-down',
              drive='162R0JuTpf3gpLe1IK6oxRoQK7JSj4ylx'),
    Published('pose', 'small', 64, (384, 288), 'COCO, top-down',
              drive='163vuFkpcgVOthC05jCwjGzo78Nr0eikW'),
    Published('pose', 'small', 64, (448, 320), 'COCO, top-down',
              drive='165nQRsT58SXJegcttksHwDn46Fme5dGX'),
    Published('pose', 'base', 64, (256, 192), 'COCO, top-down',
              drive='15tzJaRyEzyWp2mQhpjDbBzuGoyCaJJ-2'),
    Published('pose', 'base', 64, (384, 288), 'COCO, top-down',
              drive='15qtUaOR_C7-vooheJE75mhA9oJQt3gSx'),
    Published('pose', 'base', 64, (448, 320), 'COCO, top-down',
              drive='156iNxetiCk8JJz41aFDmFh9cQbCaMk3D'),
    # MMAction2's port
    Published('image', 'small', 64, 224, 'ImageNet-1K',
              'uniformer_small_in1k_20221219-fe0a7ae0.pth',
              url=MMACTION, sha256='fe0a7ae0'),
    Published('image', 'base', 64, 224, 'ImageNet-1K',
              'uniformer_base_in1k_20221219-82c01015.pth',
              url=MMACTION, sha256='82c01015'),
    Published('video', 'small', 64, 224, 'Kinetics-400',
              'uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-c630a037.pth',
              frames='16x4', url=MMACTION, sha256='c630a037'),
    Published('video', 'base', 64, 224, 'Kinetics-400',
              'uniformer-base_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-157c2e66.pth',
              frames='16x4', url=MMACTION, sha256='157c2e66'),
    Published('video', 'base', 64, 224, 'Kinetics-400',
              'uniformer-base_imagenet1k-pre_32x4x1_kinetics400-rgb_20221219-b776322c.pth',
              frames='32x4', url=MMACTION, sha256='b776322c'),
    # MMPose's project
    Published('pose', 'small', 64, (256, 192), 'COCO, top-down',
              'top_down_256x192_global_small-d4a7fdac_20230724.pth',
              url=MMPOSE, sha256='d4a7fdac'),
    Published('pose', 'small', 64, (384, 288), 'COCO, top-down',
              'top_down_384x288_global_small-7a613f78_20230724.pth',
              url=MMPOSE, sha256='7a613f78'),
    Published('pose', 'small', 64, (448, 320), 'COCO, top-down',
              'top_down_448x320_global_small-18b760de_20230724.pth',
              url=MMPOSE, sha256='18b760de'),
    Published('pose', 'base', 64, (256, 192), 'COCO, top-down', 'top_down_256x192_global_base-1713bcd4_20230724.pth',
              url=MMPOSE, sha256='1713bcd4'),
    Published('pose', 'base', 64, (384, 288), 'COCO, top-down', 'top_down_384x288_global_base-c650da38_20230724.pth',
              url=MMPOSE, sha256='c650da38'),
    Published('pose', 'base', 64, (448, 320), 'COCO, top-down', 'top_down_448x320_global_base-a05c185f_20230724.pth',
              url=MMPOSE, sha256='a05c185f'),
)


def find_by_name(name: str) -> Published | None:
    """The row of a file name, or None."""
    return next((row for row in PUBLISHED if row.file and row.file == name), None)


def find_by_content(path: Path) -> Published | None:
    """The row of a file by its hash, whatever its name; None for files of unknown hash."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(1 << 22):
            md5.update(chunk)
            sha256.update(chunk)
    return next((row for row in PUBLISHED if row.md5 and row.md5 == md5.hexdigest() or
                 row.sha256 and sha256.hexdigest().startswith(row.sha256)), None)
