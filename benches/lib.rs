//! Pools and seeds shared by the benchmarks in this folder.
