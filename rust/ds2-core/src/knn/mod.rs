//! k-NN.
