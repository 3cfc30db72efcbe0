"""SOLO and SOLOv2 (Wang et al., 2020): networks, tail, configurations."""
