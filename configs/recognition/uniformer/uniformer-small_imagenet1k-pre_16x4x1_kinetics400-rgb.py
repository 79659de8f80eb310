# UniFormer-S on Kinetics-400, 16 frames, every fourth. The bases are its recipe: 8 GPUs x 4 clips.
_base_ = [
    '../../_base_/default_runtime_video.py',
    '../../_base_/models/uniformer3d.py',
    '../../_base_/datasets/kinetics400.py',
    '../../_base_/schedules/video_110e.py',
]
