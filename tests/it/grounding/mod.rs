//! Prompts in plain words reach what is configured.

mod collecting;
mod embedding;
mod evaluation;
mod routing;
