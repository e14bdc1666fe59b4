"""How kernels are compiled: quicker, and those of a first partition in two processes. `_kernels.jit` keeps them."""
