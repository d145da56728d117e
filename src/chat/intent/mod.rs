//! Intent: what a prompt asks for. [`classify`] takes what the request says itself, else what the rules say, or asks a model.

mod classifier;
mod label;
mod rules;

pub(super) use classifier::classify;
pub(super) use label::{Classification, Intent};
