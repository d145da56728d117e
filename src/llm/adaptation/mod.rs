//! Adaptive requests: what a server refuses by its name is left out, or sent in the other form that is known, and remembered.
//!
//! `change` says what can be done, and does it to a body; `refusal` finds it in what a server says, by the words of `matching`; `known` keeps it by server and
//! model, and asks once more. To add a form that servers want: a variant of [`Adaptation`], its text, its arm in `change::apply`, and
//! the words of those who refuse in `refusal`.

mod change;
mod known;
mod matching;
mod refusal;

pub(super) use change::{Adaptation, is_left_out, left_out};
pub(super) use known::Adaptations;
