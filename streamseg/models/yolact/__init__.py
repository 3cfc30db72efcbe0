"""YOLACT and YOLACT++ (Bolya et al., 2019 and 2020): network, tail, configurations."""
