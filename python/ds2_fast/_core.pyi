"""The Rust core. Arrays go in C-contiguous and of the exact dtype, without a copy; results are new arrays."""

__version__: str
debug_build: bool
