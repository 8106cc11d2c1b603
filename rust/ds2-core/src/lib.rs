#![doc = include_str!("../README.md")]

pub mod agreement;
pub mod answer;
pub mod audit;
pub mod blocks;
pub mod bootstrap;
pub mod consensus;
pub mod curation;
pub mod dot;
pub mod duplicates;
mod em;
mod error;
pub mod evidence;
pub mod journal;
pub mod kcenter;
pub mod knn;
pub mod lexical;
pub mod longtail;
pub mod noise_bound;
pub mod noise_share;
#[cfg(feature = "mmap")]
pub mod npy;
pub mod paper;
mod progress;
mod random;
pub mod rated;
pub mod reference;
pub mod requests;
pub mod ridge;
pub mod rows;
pub mod sampling;
pub mod scale;
pub mod selection;
pub mod shuffle;
mod similarity;
pub mod strategies;
mod topk;
pub mod transition;
pub mod trust;
mod workers;

#[cfg(test)]
mod naive;
#[cfg(test)]
mod naive_bayes;

pub use error::{Error, Result};
pub use progress::{Progress, SILENT};
pub use rated::RatedPool;
pub use rows::{Element, Rows};

/// The tutorial runs as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/tutorials/embed-rust.md")]
mod tutorial {}
