# UniFormer-XXS on Kinetics-400, 16 frames of the whole video, 160 pixels.
_base_ = 'uniformer-xxs_imagenet1k-pre_u16-128_kinetics400-rgb.py'

model = dict(
    backbone=dict(
        # Only on Google Drive: gdown 1CsXCzfVFPyM2mY8BA_1fO3q_VBngnF44 -O checkpoints/uniformer_xxs_160_in1k.pth
        init_cfg=dict(checkpoint='checkpoints/uniformer_xxs_160_in1k.pth')))

train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
train_pipeline[4].transforms[2].scale = (160, 160)
for pipeline in (val_pipeline, test_pipeline):
    pipeline[3].scale = (-1, 160)
    pipeline[4].crop_size = 160
del pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
