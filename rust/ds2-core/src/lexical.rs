//! Lexical space.
