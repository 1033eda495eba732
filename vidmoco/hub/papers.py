"""The papers of the methods, to cite them."""

from vidmoco.hub.markdown import code_block

_BIBTEX = {
    "moco": """@inproceedings{he2020moco,
  title={Momentum Contrast for Unsupervised Visual Representation Learning},
  author={He, Kaiming and Fan, Haoqi and Wu, Yuxin and Xie, Saining and Girshick, Ross},
  booktitle={CVPR},
  year={2020}
}""",
    "moco_v2": """@article{chen2020mocov2,
  title={Improved Baselines with Momentum Contrastive Learning},
  author={Chen, Xinlei and Fan, Haoqi and Girshick, Ross and He, Kaiming},
  journal={arXiv:2003.04297},
  year={2020}
}""",
    "moco_v3": """@inproceedings{chen2021mocov3,
  title={An Empirical Study of Training Self-Supervised Vision Transformers},
  author={Chen, Xinlei and Xie, Saining and He, Kaiming},
  booktitle={ICCV},
  year={2021}
}""",
    "fast_moco": """@inproceedings{ci2022fastmoco,
  title={Fast-MoCo: Boost Momentum-based Contrastive Learning with Combinatorial Patches},
  author={Ci, Yuanzheng and Lin, Chen and Bai, Lei and Ouyang, Wanli},
  booktitle={ECCV},
  year={2022}
}""",
    "simclr": """@inproceedings{chen2020simclr,
  title={A Simple Framework for Contrastive Learning of Visual Representations},
  author={Chen, Ting and Kornblith, Simon and Norouzi, Mohammad and Hinton, Geoffrey},
  booktitle={ICML},
  year={2020}
}""",
    "memory_bank": """@inproceedings{wu2018instance,
  title={Unsupervised Feature Learning via Non-Parametric Instance Discrimination},
  author={Wu, Zhirong and Xiong, Yuanjun and Yu, Stella X. and Lin, Dahua},
  booktitle={CVPR},
  year={2018}
}""",
}
_PAPERS = {
    "moco": ("moco", "moco_v2"),
    "moco_v3": ("moco_v3",),
    "fast_moco": ("fast_moco",),
    "simclr": ("simclr",),
    "end_to_end": ("moco",),
    "memory_bank": ("memory_bank",),
}


def citation(method: str) -> str:
    """Return the BibTeX entries of a method's papers as Markdown, or an empty string."""
    entries = [_BIBTEX[paper] for paper in _PAPERS.get(method, ())]
    return code_block("\n\n".join(entries), "bibtex") if entries else ""
