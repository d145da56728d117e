//! Intent: what a prompt asks for, by the labels of the original: what the request says itself, and what rules on words say.

mod label;
mod of_request;
mod rules;

pub(super) use label::{Classification, Intent};
pub(super) use of_request::of_request;
pub(super) use rules::{is_query, names_the_web, of_rules};
