"""RTMDet-Ins (Lyu et al., 2022): network, tail, configurations."""
